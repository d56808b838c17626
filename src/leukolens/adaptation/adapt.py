"""Makes a bundle a laboratory's own, from a folder of its cells, and says what that changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from leukolens.adaptation.comparison import Comparison, compare
from leukolens.adaptation.familiar import made_familiar
from leukolens.adaptation.judged import as_read, outer_folds, refitted, too_few
from leukolens.adaptation.learning import learn, matched
from leukolens.adaptation.local import Watch, labelled, unlabelled
from leukolens.adaptation.onnx_head import Head, head_of
from leukolens.adaptation.replay import Replay
from leukolens.adaptation.replay import unpack as replay_in
from leukolens.adaptation.writing import Parts, figures_of, learned_from, today, write_own
from leukolens.bundle import Adapted, Bundle, Judgement
from leukolens.datasets.folder import Folder
from leukolens.differential.confusion import Confusion, confusion_of
from leukolens.errors import BundleError, LeukolensError
from leukolens.evaluation.counted import counted
from leukolens.evaluation.predictions import Predictions
from leukolens.reading.reader import Reader

Verdict = Literal["better", "no worse", "too few to tell", "not judged"]


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """A bundle that was made a laboratory's own.

    Attributes:
        parent: What it was made from.
        bundle: What was written.
        cells: Labelled cells by class key; empty where there were no labels.
        unlabelled: Cells without labels.
        groups: Independent groups that the labelled cells come from.
        lost: Images in which no cell was found.
        failed: ``image: reason`` of those that could not be read.
        verdict: What the outer folds say.
        reason: Why there is no verdict; empty where there is one.
        comparison: Before and after; None without labels, or with one group only.
        kept: Of the cells that the bundle carries along: balanced share that is named rightly, before and after.
    """

    parent: Bundle
    bundle: Bundle
    cells: dict[str, int]
    unlabelled: int
    groups: int
    lost: int
    failed: tuple[str, ...]
    verdict: Verdict
    reason: str
    comparison: Comparison | None
    kept: tuple[float, float] | None


def adapt(
    reader: Reader, folder: Folder, out: Path, *, seed: int = 0, watch: Watch | None = None
) -> Adaptation:
    """Learns a new last layer from labelled cells, and writes the bundle unless it is worse.

    Args:
        reader: Holds the bundle to start from.
        folder: The laboratory's labelled cells.
        out: The new bundle's file.
        seed: Deals groups into folds.
        watch: As for `labelled`.

    Raises:
        DataError: Where the folder's cells cannot teach the bundle.
        BundleError: Where the bundle's last layer cannot be replaced, or the new one cannot be written.
        LeukolensError: Where the new bundle would be worse; nothing is written.
    """
    parent, card = reader.bundle, reader.bundle.card
    old, replay = _head_and_replay(parent)
    local = labelled(reader, folder, watch)
    classes = tuple(card.classes)
    _, group = np.unique(np.array(local.groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    outer = outer_folds(old, local, replay, rng)
    learned = learn(old, local.features, local.truth, group, replay, rng)
    reason = too_few(local, classes)
    judgement, comparison, confusion = card.judgement.model_copy(update={"sets": {}}), None, None
    if outer is not None:
        where = (
            f"{len(local)} cells of {len(set(local.groups))} groups of {folder.lab}, by last layers that had not "
            "seen their group"
        )
        if reason is None:
            judgement = refitted(card.judgement, outer, local, classes, where)
        before, after = as_read(reader, local, old, outer, judgement)
        comparison = compare(before, after)
        if reason is None:
            judgement = _with_shares(judgement, after)
            confusion = _confusion(after, judgement, where, folder.lab)
    if reason is None and comparison is not None and comparison.verdict == "worse":
        raise LeukolensError(_worse(comparison), "Keep the bundle as it is, check the labels, or add cells")
    verdict: Verdict = "too few to tell"
    if reason is None and comparison is not None and comparison.verdict != "worse":
        verdict = comparison.verdict
    familiarity, judgement = made_familiar(parent, judgement, local, outer, folder.lab)
    counts = np.bincount(local.truth, minlength=len(classes))
    cells = {key: int(count) for key, count in zip(classes, counts, strict=True) if count}
    before_it, after_it, difference = figures_of(comparison)
    part = Adapted(
        parent=card.name, parent_sha256=parent.sha256, date=today(), method="head", cells=cells,
        groups=len(set(local.groups)), strength=learned.strength, verdict=verdict,
        before=before_it, after=after_it, difference=difference,
    )  # fmt: skip
    new = card.model_copy(
        update={
            "judgement": judgement,
            "confusion": confusion,
            "learned_from": [*card.learned_from, learned_from(folder, local)],
        }
    )
    parts = Parts(learned.head, parent.detector, familiarity, parent.replay)
    written = write_own(new, parts, parent.classifier, part, folder.lab, local.crops, out)
    return Adaptation(
        parent, written, cells, 0, len(set(local.groups)), len(local.lost), local.failed, verdict, reason or "",
        comparison, outer.kept if outer else None,
    )  # fmt: skip


def adapt_unlabelled(reader: Reader, root: Path, out: Path, *, watch: Watch | None = None) -> Adaptation:
    """Matches the features' mean and deviation to those the bundle carries; nothing says whether that is better.

    Args:
        reader: Holds the bundle to start from.
        root: Folder of images of single cells, without labels.
        out: The new bundle's file.
        watch: As for `labelled`.

    Raises:
        DataError: Where the folder holds no cell.
        BundleError: Where the bundle carries no features to match, or the new one cannot be written.
    """
    parent, card = reader.bundle, reader.bundle.card
    old, replay = _head_and_replay(parent)
    if replay is None:
        raise BundleError(
            f"bundle {card.name} carries no features that a laboratory's could be matched to",
            "Use the shipped bundle, or label some cells and name their folder",
        )
    crops, features, lost, failed = unlabelled(reader, root, watch)
    lab = root.resolve().name
    part = Adapted(
        parent=card.name, parent_sha256=parent.sha256, date=today(), method="statistics", cells={},
        unlabelled=len(features), groups=0, verdict="not judged",
    )  # fmt: skip
    new = card.model_copy(
        update={"judgement": card.judgement.model_copy(update={"sets": {}}), "confusion": None}
    )
    parts = Parts(matched(old, features, replay), parent.detector, parent.familiarity, parent.replay)
    written = write_own(new, parts, parent.classifier, part, lab, crops, out)
    reason = "cells without labels cannot say whether answers are right"
    return Adaptation(parent, written, {}, len(features), 0, lost, failed, "not judged", reason, None, None)


def _head_and_replay(parent: Bundle) -> tuple[Head, Replay | None]:
    head = head_of(parent.classifier)
    classes, width = head.weight.shape
    if classes != len(parent.card.classes):
        raise BundleError(
            f"bundle {parent.card.name} has {classes} answers for {len(parent.card.classes)} classes",
            "Export it or fetch it again",
        )
    return head, None if parent.replay is None else replay_in(parent.replay, width, classes)


def _with_shares(judgement: Judgement, after: Predictions) -> Judgement:
    found = after.only(after.found)
    sure = found.confidence >= judgement.accept_above
    right = float(found.correct[sure].mean()) if sure.any() else None
    return judgement.model_copy(update={"accepted_accuracy": right, "accepted_share": float(sure.mean())})


def _confusion(after: Predictions, judgement: Judgement, measured_on: str, lab: str) -> Confusion | None:
    """What the outer folds would be counted as; None where a class of the bundle has no cell to count."""
    found = counted(after, judgement)
    if len(np.unique(found.truth)) < len(found.classes):
        return None
    return confusion_of(
        found.classes, found.truth, found.answered, found.groups, labs=(lab,), measured_on=measured_on
    )


def _worse(comparison: Comparison) -> str:
    balanced = comparison.balanced
    interval = balanced.difference.interval
    limits = f", 95 % {100 * interval.low:+.1f} to {100 * interval.high:+.1f}" if interval else ""
    text = (
        f"the adapted bundle would be worse on cells that it had not learned from: balanced accuracy "
        f"{100 * balanced.before.value:.1f} % before, {100 * balanced.after.value:.1f} % after "
        f"({100 * balanced.difference.value:+.1f} points{limits})"
    )
    harmed = ", ".join(
        f"{line.key} from {100 * line.recall.before.value:.0f} to {100 * line.recall.after.value:.0f} %"
        for line in comparison.harmed
    )
    return f"{text}, {harmed}" if harmed else text
