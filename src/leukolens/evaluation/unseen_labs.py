"""A laboratory never seen: which ones are left out in turn, and the figures of what was answered there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from leukolens.datasets.blood_cells import DOUBTFUL
from leukolens.errors import DataError
from leukolens.evaluation.answers import Answers, Mistake, worst_mistakes
from leukolens.evaluation.intervals import resample
from leukolens.evaluation.measures import Measure, interval_of
from leukolens.evaluation.predictions import Predictions
from leukolens.evaluation.unseen_answers import Asked
from leukolens.evaluation.unseen_sums import RunSums


@dataclass(frozen=True, slots=True)
class SeedMean:
    """One figure of a recipe trained from several seeds.

    Attributes:
        values: One a seed.
        mean: Their mean; its interval resamples groups, the same ones for every seed.
    """

    values: tuple[float, ...]
    mean: Measure

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds (n - 1); NaN for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else float("nan")


@dataclass(frozen=True, slots=True)
class ClassRecall:
    """How much of a class is found in the laboratory.

    Attributes:
        key: The class.
        images: Images of it.
        groups: Groups of it; below nine there is no interval.
        recall: Share that was called so.
    """

    key: str
    images: int
    groups: int
    recall: SeedMean


@dataclass(frozen=True, slots=True)
class Unscored:
    """A class that is shown, not scored: too rare, or one that the model was never taught.

    Attributes:
        key: The class.
        images: Images of it.
        called: What they were called, most often first: class key, None without a cell, and how often, the
            mean over seeds.
    """

    key: str
    images: int
    called: tuple[tuple[str | None, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class LabFigures:
    """A recipe on a laboratory that it never saw.

    Attributes:
        asked: What was answered, one a seed.
        scored: Classes that count.
        open: Classes among the answers: those of the set that the model knows.
        images: Images of the classes that count.
        groups: Groups that they come from.
        lost: Images of them without a found cell, the mean over seeds; they count as wrong.
        accuracy: Share of right images.
        balanced_accuracy: Mean recall of the classes that count.
        settled: Accuracy without the photograph of blood-cells TEST whose label is doubtful; None elsewhere.
        expected_error: Expected calibration error, 15 bins of equal mass; its interval keeps the bins.
        brier: Mean squared distance from the truth, 0 to 2.
        most_certain: Accuracy on the 80 % most certain images; one without a cell is the least certain.
        accepted: Share of images that the product accepts unseen.
        accepted_accuracy: Share of right ones among them, with all classes of the model open.
        recalls: Each class that counts.
        unscored: Each other class.
        mistakes: Of the first seed, the surest first.
        draws: float64 (resamples, 2), accuracy and balanced accuracy of each resample, mean over seeds.
    """

    asked: tuple[Asked, ...]
    scored: tuple[str, ...]
    open: tuple[str, ...]
    images: int
    groups: int
    lost: float
    accuracy: SeedMean
    balanced_accuracy: SeedMean
    settled: SeedMean | None
    expected_error: SeedMean
    brier: SeedMean
    most_certain: SeedMean
    accepted: SeedMean
    accepted_accuracy: SeedMean
    recalls: tuple[ClassRecall, ...]
    unscored: tuple[Unscored, ...]
    mistakes: tuple[Mistake, ...]
    draws: NDArray[np.float64] = field(repr=False)

    @property
    def method(self) -> str:
        """The recipe's name."""
        return self.asked[0].method

    @property
    def lab(self) -> str:
        """The laboratory's key."""
        return self.asked[0].lab.key


def restricted(asked: Asked) -> tuple[Answers, Predictions]:
    """The answers to the images that count, with all classes, and restricted to those that are open."""
    everything = asked.answers.predictions
    scored = asked.scored
    answers = asked.answers.only(
        np.array([everything.classes[label] in scored for label in everything.truth], dtype=np.bool_)
    )
    return answers, answers.predictions.restricted(asked.open)


def lab_figures(asked: Sequence[Asked]) -> LabFigures:
    """The figures of one recipe on one laboratory.

    Args:
        asked: One a seed.

    Raises:
        DataError: Where they did not answer the same images of the same classes, or nothing counts.
    """
    first = asked[0]
    runs = [restricted(run) for run in asked]
    images, keys = runs[0][1].images, runs[0][1].classes
    if any(run.images != images or run.classes != keys for _, run in runs):
        raise DataError(
            f"the seeds of {first.method} did not answer the same images of {first.lab.dataset}",
            "Delete their answers and run the protocol again",
        )
    if not images:
        raise DataError(
            f"no image of {first.lab.dataset} is of a class that {first.method} knows", "Teach more classes"
        )
    scored = [label for label, key in enumerate(keys) if key in first.scored]
    parts = [RunSums(answers, predictions) for answers, predictions in runs]
    groups = parts[0].groups
    values = np.stack([part.figures(np.ones((1, len(groups.keys))))[0] for part in parts])
    # Equal images in equal groups give equal draws, so the seeds' are averaged one by one.
    draws = np.mean([resample(groups, part.figures) for part in parts], axis=0)
    behind = [len(groups.keys)] * 5
    behind += [min(part.behind[column] for part in parts) for column in range(2)]
    behind += [len(groups.keys), *(groups.of_class(label) for label in range(len(keys)))]

    def figure(column: int) -> SeedMean:
        interval = interval_of(draws[:, column], behind[column])
        own = tuple(values[:, column].tolist())
        return SeedMean(own, Measure(float(np.mean(own)), interval))

    return LabFigures(
        asked=tuple(asked),
        scored=tuple(keys[label] for label in scored),
        open=keys,
        images=len(images),
        groups=len(groups.keys),
        lost=float(np.mean([(~predictions.found).sum() for _, predictions in runs])),
        accuracy=figure(0),
        balanced_accuracy=figure(1),
        settled=figure(2) if DOUBTFUL in groups.keys else None,
        expected_error=figure(3),
        brier=figure(4),
        most_certain=figure(5),
        accepted_accuracy=figure(6),
        accepted=figure(7),
        recalls=tuple(
            ClassRecall(
                keys[label],
                int((runs[0][1].truth == label).sum()),
                groups.of_class(label),
                figure(8 + label),
            )
            for label in scored
        ),
        unscored=_unscored(asked),
        mistakes=worst_mistakes(runs[0][1], runs[0][0]),
        draws=draws[:, :2],
    )


def difference(of: LabFigures, reference: LabFigures) -> tuple[Measure, Measure] | None:
    """Accuracy and balanced accuracy of one recipe minus another's, paired: group by group the same draws.

    None where the two were not asked the same.
    """
    if (of.scored, of.open, of.images, of.groups) != (
        reference.scored,
        reference.open,
        reference.images,
        reference.groups,
    ):
        return None
    drawn = of.draws - reference.draws
    pairs = (
        (of.accuracy, reference.accuracy),
        (of.balanced_accuracy, reference.balanced_accuracy),
    )
    accuracy, balanced = (
        Measure(own.mean.value - other.mean.value, interval_of(drawn[:, column], of.groups))
        for column, (own, other) in enumerate(pairs)
    )
    return accuracy, balanced


def mean_over_labs(
    figures: Sequence[LabFigures], method: str, name: Literal["accuracy", "balanced_accuracy"]
) -> float:
    """A recipe's mean over the laboratories, each weighing the same; NaN without one. Four labs: no interval."""
    values = [getattr(own, name).mean.value for own in figures if own.method == method]
    return float(np.mean(values)) if values else float("nan")


def _unscored(asked: Sequence[Asked]) -> tuple[Unscored, ...]:
    everything = asked[0].answers.predictions
    lines = []
    for label, key in enumerate(everything.classes):
        images = int((everything.truth == label).sum())
        if key in asked[0].scored or not images:
            continue
        called: Counter[str | None] = Counter()
        for run in asked:
            called.update(run.called(key))
        shares = tuple((name, count / len(asked)) for name, count in called.most_common())
        lines.append(Unscored(key, images, shares))
    return tuple(lines)
