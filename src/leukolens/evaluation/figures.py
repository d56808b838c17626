"""The plots of an evaluation. Each is a matplotlib figure of its own; no state is shared between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from leukolens.evaluation import metrics
from leukolens.evaluation.measures import confusion_of
from leukolens.evaluation.predictions import Predictions
from leukolens.evaluation.trust import CalibrationMeasures, CoverageBand, DecisionMeasures
from leukolens.taxonomy import cell_class

INK, MUTED, RULE = "#1f2933", "#616e7c", "#d9dee4"
RIGHT, WRONG = "#0b6e4f", "#b3401a"

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "svg.fonttype": "none",
}


def confusion_figure(predictions: Predictions) -> Figure:
    """True class by answer: counts, tinted by their share of the true class."""
    matrix = confusion_of(predictions)
    keys = predictions.classes
    shown = matrix if matrix[:, -1].any() else matrix[:, :-1]
    share = np.nan_to_num(shown / np.maximum(matrix.sum(axis=1, keepdims=True), 1))
    names = [cell_class(key).name for key in keys]
    answers = [*names, "No cell"][: shown.shape[1]]
    with mpl.rc_context(_STYLE):
        figure, axes = _blank(1.1 + 0.8 * len(answers), 0.9 + 0.75 * len(keys))
        tint_right, tint_wrong = (
            LinearSegmentedColormap.from_list("", ["#ffffff", end]) for end in (RIGHT, WRONG)
        )
        for (row, column), count in np.ndenumerate(shown):
            part, right = float(share[row, column]), row == column
            # A few errors in a hundred should be seen: the tint of a wrong share rises with its root.
            colour = tint_right(part) if right else tint_wrong(0.9 * part**0.5)
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, linewidth=0))
            dark = part > (0.55 if right else 0.4)
            axes.text(
                column,
                row,
                f"{int(count):,}" if not count else f"{int(count):,}\n{_percent(part)}",
                ha="center",
                va="center",
                color="#ffffff" if dark else INK if count else MUTED,
                fontsize=8.5,
                linespacing=1.35,
            )
        axes.set_xticks(range(len(answers)), [_two_lines(name) for name in answers])
        axes.set_yticks(range(len(names)), [_two_lines(name) for name in names])
        axes.set(xlim=(-0.5, len(answers) - 0.5), ylim=(len(names) - 0.5, -0.5))
        axes.set(xlabel="predicted", ylabel="true class")
        axes.xaxis.set_label_position("top")
        axes.tick_params(length=0, labeltop=True, labelbottom=False, pad=5)
        axes.set_xticks(np.arange(0.5, len(answers) - 1), minor=True)
        axes.set_yticks(np.arange(0.5, len(names) - 1), minor=True)
        axes.grid(which="minor", color="#ffffff", linewidth=2)
        axes.tick_params(which="minor", length=0)
        for tick, key in zip(axes.get_yticklabels(), keys, strict=True):
            tick.set_color(cell_class(key).colour)
        for tick, key in zip(axes.get_xticklabels(), keys, strict=False):
            tick.set_color(cell_class(key).colour)
        axes.spines[:].set_visible(False)
    return figure


def roc_figure(predictions: Predictions) -> Figure:
    """One curve a class against the rest; classes without both kinds of images have none."""
    with mpl.rc_context(_STYLE):
        figure, axes = _blank(4.7, 3.9)
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, linestyle=(0, (4, 4)))
        for label, key in enumerate(predictions.classes):
            scores = metrics.class_scores(predictions, label)
            curve = metrics.roc_curve(scores, predictions.truth == label)
            if np.isnan(curve.area):
                continue
            kind = cell_class(key)
            axes.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                color=kind.colour,
                linewidth=1.6,
                label=f"{kind.name}  {curve.area:.3f}",
            )
        _share_axes(axes)
        axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title="area under the curve", **_LEGEND, loc="lower right")
    return figure


def reliability_figure(calibration: CalibrationMeasures) -> Figure:
    """Said probability against the share that was right, in equal-mass bins with their intervals."""
    bins = calibration.bins
    with mpl.rc_context(_STYLE):
        figure, axes = _blank(4.7, 3.9)
        start = float(np.floor(10 * min([0.5, *bins.confidence, *bins.accuracy])) / 10)
        axes.plot(
            [0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)), label="perfectly calibrated"
        )
        for x, interval in zip(bins.confidence, calibration.bin_intervals, strict=True):
            if interval:
                axes.plot([x, x], [interval.low, interval.high], color="#9fb3c8", linewidth=1.4)
        axes.plot(bins.confidence, bins.accuracy, color="#9fb3c8", linewidth=1)
        axes.plot(
            bins.confidence,
            bins.accuracy,
            color="#0072b2",
            marker="o",
            markersize=5,
            linestyle="none",
            label=f"one of {len(bins.count)} bins with 95 % interval",
        )
        _share_axes(axes)
        axes.set(xlim=(start - 0.01, 1.01), ylim=(start - 0.01, 1.01), xlabel="confidence", ylabel="accuracy")
        axes.legend(**_LEGEND, loc="upper left")
    return figure


def coverage_figure(
    band: CoverageBand, accepted: DecisionMeasures | None = None, target: float = 0.95
) -> Figure:
    """Accuracy of the surest answers against how many are taken; what the bundle accepts, and the target."""
    curve = band.curve
    with mpl.rc_context(_STYLE):
        figure, axes = _blank(4.7, 3.9)
        axes.axhline(target, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
        axes.fill_between(band.coverage, band.low, band.high, color="#0072b2", alpha=0.13, linewidth=0)
        axes.plot(curve.coverage, curve.accuracy, color="#0072b2", linewidth=1.6)
        floor = min([target, *_finite(band.low), *curve.accuracy[curve.coverage > 0.02]])
        axes.set(
            xlim=(0, 1.01),
            ylim=(max(0.0, floor - 0.06), 1.005),
            xlabel="coverage",
            ylabel="accuracy of what is covered",
        )
        if accepted and accepted.images:
            x, y = accepted.share.value, accepted.accuracy.value
            axes.plot(
                [x],
                [y],
                marker="o",
                markersize=7,
                color="#d55e00",
                markeredgecolor="white",
                linestyle="none",
                label=f"accepted by the bundle: {_percent(x)},\n{_percent(y)} of them right",
            )
            axes.legend(**_LEGEND, loc="lower left")
        _share_axes(axes)
    return figure


def png(figure: Figure, dots_per_inch: int = 144) -> bytes:
    """The figure as PNG."""
    buffer = BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure, name: str) -> bytes:
    """The figure as an SVG element to stand inside a page; equal figures give equal bytes.

    Args:
        figure: To draw.
        name: Told apart by it, the parts of several figures don't clash in one page.
    """
    buffer = BytesIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue().decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Its one style sheet would apply to the page around it.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.-]+)", text))
    text = re.sub(r'\bid="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    return text.replace("<svg ", '<svg stroke-linejoin="round" ', 1).encode()


_LEGEND: Any = {
    "frameon": False,
    "fontsize": 8.5,
    "title_fontsize": 8.5,
    "alignment": "left",
    "handlelength": 1.4,
}


def _blank(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _share_axes(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _finite(values: NDArray[np.float64]) -> Sequence[float]:
    return [float(value) for value in values if np.isfinite(value)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _two_lines(name: str) -> str:
    return name.replace(" ", "\n", 1)
