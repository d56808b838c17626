"""Asks a bundle about a data set's images, and puts everything that can be said of the answers together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from leukolens.card import Card
from leukolens.datasets.base import CellDataset, Sample
from leukolens.datasets.catalogue import NAMES
from leukolens.evaluation import ledger
from leukolens.evaluation.answers import Identifies, Mistake, Watch, ask, worst_mistakes
from leukolens.evaluation.measures import ClassMeasures, Headline, Measure, class_measures, headline
from leukolens.evaluation.official_test import HELD_OUT_PREFIX, Variant, fields_in_train, variants
from leukolens.evaluation.predictions import Predictions
from leukolens.evaluation.set_coverage import SetMeasures, set_measures
from leukolens.evaluation.trust import (
    CalibrationMeasures,
    CoverageBand,
    DecisionMeasures,
    calibration_measures,
    coverage_band,
    decision_measures,
)
from leukolens.taxonomy import in_order


@dataclass(frozen=True, slots=True)
class Looks:
    """How often held-out data has been looked at, this time included.

    Attributes:
        all: At any held-out data.
        here: At this data set.
    """

    all: int
    here: int


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Everything that is said of a bundle on a data set.

    Attributes:
        date: UTC, ISO 8601.
        commit: Of the code that evaluated.
        command: What was typed.
        card: The bundle's.
        bundle_sha256: The bundle's digest.
        dataset: Name of the data set.
        title: As its publisher calls it.
        split: Which part of it.
        learned_from: Whether the bundle learned from this very part.
        asked: The classes that were open; the bundle's probabilities were restricted to them, if they are
            fewer than it knows, and scaled to add up to 1.
        headline: Of all images.
        unrestricted: The same with all classes open; None where they were.
        variants: Of the official test, else empty.
        classes: Each class.
        calibration: Of the probabilities, after the bundle's temperature and the restriction.
        coverage: Accuracy against coverage.
        decisions: The bundle's own; they, and right and wrong beside them, are over all of its classes.
        mistakes: The surest first, one a photograph; images without a cell last.
        failed: Images that could not be read.
        predictions: Every probability.
        looks: None where the data is not held out.
        sets: How often the set of classes that a cell may be holds its own, class by class, over all of the
            bundle's classes; empty where it has no thresholds for them.
    """

    date: str
    commit: str
    command: str
    card: Card
    bundle_sha256: str
    dataset: str
    title: str
    split: str
    learned_from: bool
    asked: tuple[str, ...]
    headline: Headline
    unrestricted: Headline | None
    variants: tuple[Variant, ...]
    classes: tuple[ClassMeasures, ...]
    calibration: CalibrationMeasures
    coverage: CoverageBand
    decisions: tuple[DecisionMeasures, ...]
    mistakes: tuple[Mistake, ...]
    failed: tuple[str, ...]
    predictions: Predictions
    looks: Looks | None
    sets: tuple[SetMeasures, ...] = ()


def evaluate(
    reader: Identifies,
    dataset: CellDataset,
    split: str,
    *,
    command: str,
    ledger_path: Path,
    watch: Watch | None = None,
) -> Evaluation:
    """Evaluates a bundle on one split, and enters the look in the ledger where the data is held out.

    A published set asks its own classes alone: whatever else the bundle knows is not among the answers.
    In a folder of a laboratory's own every class stays open, because which ones lie in it says nothing
    about which ones could have.

    Args:
        reader: Holds the bundle.
        dataset: The labelled images.
        split: One of the data set's.
        command: What was typed, for whoever wants to do it again.
        ledger_path: The ledger.
        watch: As for ``ask``.

    Raises:
        DataError: Where there is no such split.
        ReportError: Where the ledger cannot be written; nothing is reported then.
    """
    samples = dataset.samples(split)
    card = reader.bundle.card
    answers = ask(reader, samples, dataset.root, watch)
    everything = answers.predictions
    asked = in_order(set(dataset.classes)) if dataset.name in NAMES else everything.classes
    predictions = everything.restricted(asked)
    fewer = set(card.classes) - set(asked)
    line = headline(predictions)
    official: tuple[Variant, ...] = ()
    if all(sample.group.startswith(HELD_OUT_PREFIX) for sample in samples):
        official = variants(predictions, fields_in_train(dataset.samples()))
    calibration = calibration_measures(predictions)
    commit = ledger.code_commit()
    looks = None
    if is_held_out(dataset, samples, card):
        look = ledger.Look(commit, card.recipe_sha256, card.seed, reader.bundle.sha256, dataset.name, split)
        looks = entered(ledger_path, look, line, official, calibration.expected_error)
    return Evaluation(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        command=command,
        card=card,
        bundle_sha256=reader.bundle.sha256,
        dataset=dataset.name,
        title=dataset.publication.title if dataset.name in NAMES else str(dataset.root),
        split=split,
        learned_from=any(part.name == dataset.name and split in part.splits for part in card.learned_from),
        asked=asked,
        headline=line,
        unrestricted=headline(everything) if fewer else None,
        variants=official,
        classes=class_measures(predictions),
        calibration=calibration,
        coverage=coverage_band(predictions),
        decisions=decision_measures(everything, answers.decisions),
        mistakes=worst_mistakes(predictions, answers),
        failed=answers.failed,
        predictions=predictions,
        looks=looks,
        sets=set_measures(everything, card.judgement.sets),
    )


def is_held_out(dataset: CellDataset, samples: Sequence[Sample], card: Card) -> bool:
    """Whether looking at these samples is a look at held-out data.

    It is for any photograph of blood-cells TEST, whichever data set shows it, and for every published
    laboratory that the bundle did not learn from.
    """
    if any(sample.group.startswith(HELD_OUT_PREFIX) for sample in samples):
        return True
    return dataset.name in NAMES and dataset.lab not in {part.lab for part in card.learned_from}


def entered(
    path: Path, look: ledger.Look, line: Headline, official: Sequence[Variant], error: Measure
) -> Looks:
    """Enters a look with the figures that it showed.

    Args:
        path: The ledger.
        look: What was looked at.
        line: Of all images that count.
        official: The official test's variants, else empty.
        error: Expected calibration error.

    Raises:
        ReportError: Where the ledger cannot be written; what was seen must not be reported then.
    """
    total = ledger.append(path, look, _seen(line, official, error))
    return Looks(total, ledger.looks(path, look.dataset))


def _seen(line: Headline, official: Sequence[Variant], error: Measure) -> list[ledger.Seen]:
    named = [(variant.name, variant.headline) for variant in official] or [("all", line)]
    seen = []
    for name, figures in named:
        for figure, measure in (
            ("accuracy", figures.accuracy),
            ("balanced accuracy", figures.balanced_accuracy),
            ("photograph accuracy", figures.photograph_accuracy),
        ):
            seen.append(_entry(f"{figure} ({name})", measure))
    return [*seen, _entry("expected calibration error (all)", error)]


def _entry(name: str, measure: Measure) -> ledger.Seen:
    interval = measure.interval
    return ledger.Seen(
        name, measure.value, interval.low if interval else None, interval.high if interval else None
    )
