import re
from io import BytesIO
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from leukolens.evaluation import figures
from leukolens.evaluation.calibration import coverage_curve
from leukolens.evaluation.measures import confusion_of
from leukolens.evaluation.metrics import class_scores, roc_curve
from leukolens.evaluation.trust import calibration_measures, coverage_band, decision_measures
from leukolens.taxonomy import CLASS_KEYS, cell_class


def _texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def _drawn_figures(predictions):
    accepted = decision_measures(predictions, ["accept"] * len(predictions))
    return {
        "confusion": figures.confusion_figure(predictions),
        "roc": figures.roc_figure(predictions),
        "reliability": figures.reliability_figure(calibration_measures(predictions)),
        "coverage": figures.coverage_figure(coverage_band(predictions), accepted[0] if accepted else None),
    }


def test_the_confusion_matrix_shows_every_count_and_share(drawn):
    predictions = drawn(0, lost=0.1)
    matrix = confusion_of(predictions)
    shown = np.array(
        [int(text.split("\n")[0].replace(",", "")) for text in _texts(figures.confusion_figure(predictions))]
    )
    np.testing.assert_array_equal(shown.reshape(4, 5), matrix)
    first = f"{matrix[0, 0]:.0f}\n{100 * matrix[0, 0] / matrix[0].sum():.1f} %"
    assert _texts(figures.confusion_figure(predictions))[0] == first


def test_the_column_without_a_cell_is_there_only_when_needed(drawn):
    assert len(_texts(figures.confusion_figure(drawn(0, lost=0)))) == 16
    names = [tick.get_text() for tick in figures.confusion_figure(drawn(0)).axes[0].get_xticklabels()]
    assert names == ["Neutrophil", "Eosinophil", "Lymphocyte", "Monocyte", "No\ncell"]


def test_curves_have_the_classes_colours_and_points(drawn):
    predictions = drawn(1)
    lines = {line.get_label().split()[0]: line for line in figures.roc_figure(predictions).axes[0].lines[1:]}
    for label, key in enumerate(predictions.classes):
        line, curve = (
            lines[cell_class(key).name],
            roc_curve(class_scores(predictions, label), predictions.truth == label),
        )
        assert line.get_color() == cell_class(key).colour
        np.testing.assert_array_equal(line.get_xdata(), curve.false_positive_rate)
        np.testing.assert_array_equal(line.get_ydata(), curve.true_positive_rate)
        assert line.get_label().endswith(f"{curve.area:.3f}")


def test_reliability_and_coverage_show_their_points(drawn):
    predictions = drawn(2)
    calibration, band = calibration_measures(predictions), coverage_band(predictions)
    points = figures.reliability_figure(calibration).axes[0].lines[-1]
    np.testing.assert_array_equal(points.get_xdata(), calibration.bins.confidence)
    np.testing.assert_array_equal(points.get_ydata(), calibration.bins.accuracy)
    accepted = decision_measures(predictions, ["accept"] * 20 + ["review"] * (len(predictions) - 20))[0]
    _, line, dot = figures.coverage_figure(band, accepted).axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), coverage_curve(predictions).accuracy)
    assert dot.get_xdata()[0] == 20 / len(predictions)


@pytest.mark.parametrize("name", ["confusion", "roc", "reliability", "coverage"])
def test_figures_come_as_png_and_as_svg_without_anything_from_outside(drawn, name):
    picture = Image.open(BytesIO(figures.png(_drawn_figures(drawn())[name])))
    assert picture.format == "PNG"
    assert min(picture.size) > 400
    text = figures.svg(_drawn_figures(drawn())[name], name).decode()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert not re.search(r"<script|<style|<image|<metadata|@import|url\((?!#)|href=\"(?!#)", text)
    assert text == figures.svg(_drawn_figures(drawn())[name], name).decode()


def test_parts_of_several_figures_do_not_clash_in_one_page(drawn):
    ids = [
        found
        for name, figure in _drawn_figures(drawn()).items()
        for found in re.findall(r'\bid="([^"]+)"', figures.svg(figure, name).decode())
        if "_" not in found
    ]
    assert ids
    assert len(set(ids)) == len(ids)


def test_drawing_leaves_matplotlibs_settings_as_they_were(drawn):
    before = dict(mpl.rcParams)
    for name, figure in _drawn_figures(drawn()).items():
        figures.svg(figure, name)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("rows", [[], [[float("nan")] * 4] * 3, [[1, 0, 0, 0]]])
def test_little_or_nothing_is_drawn_without_complaint(given, rows):
    for name, figure in _drawn_figures(given(rows, [0] * len(rows))).items():
        assert figures.svg(figure, name)


def test_seven_classes_fit(drawn):
    predictions = drawn(photographs=(9,) * 7, classes=CLASS_KEYS)
    names = [tick.get_text() for tick in figures.confusion_figure(predictions).axes[0].get_yticklabels()]
    assert names[5] == "Immature\ngranulocyte"
