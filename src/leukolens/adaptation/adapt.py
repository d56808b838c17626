"""Makes a bundle a laboratory's own, from a folder of its cells, and says what that changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from leukolens.adaptation.blind import Blind, blind_of
from leukolens.adaptation.comparison import Comparison, compare, worse
from leukolens.adaptation.familiar import made_familiar
from leukolens.adaptation.judged import as_read, confusion_by, refitted, too_few, with_shares
from leukolens.adaptation.local import Watch, labelled, unlabelled
from leukolens.adaptation.motion import moved
from leukolens.adaptation.normalisation import unpack as norms_in
from leukolens.adaptation.onnx_head import Head, head_of
from leukolens.adaptation.outer import model_of, outer_folds
from leukolens.adaptation.replay import Replay
from leukolens.adaptation.replay import pack as replay_of
from leukolens.adaptation.replay import unpack as replay_in
from leukolens.adaptation.teacher import Teacher, all_of, head_teacher
from leukolens.adaptation.without_labels import must_be_new, with_features, with_normalisation
from leukolens.adaptation.writing import Parts, figures_of, learned_from, today, write_own
from leukolens.bundle import Bundle
from leukolens.card import Adapted
from leukolens.datasets.folder import Folder
from leukolens.errors import BundleError, LeukolensError
from leukolens.reading.reader import Reader

_LEARNERS = {"head": "last layers", "network": "networks"}
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
        blind: The same of cells that were named while no answer was shown, on which the verdict rests where there are
            enough; None where there are none.
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
    blind: Blind | None
    kept: tuple[float, float] | None

    @property
    def decides(self) -> Comparison | None:
        """The comparison that the verdict rests on."""
        return _decides(self.comparison, self.blind)


def adapt(
    reader: Reader,
    folder: Folder,
    out: Path,
    *,
    teacher: Teacher | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Adaptation:
    """Learns from labelled cells, and writes the bundle unless it is worse.

    Args:
        reader: Holds the bundle to start from.
        folder: The laboratory's labelled cells.
        out: The new bundle's file.
        teacher: What learns; where None, a new last layer, without torch.
        seed: Deals groups into folds.
        watch: As for `labelled`.

    Raises:
        DataError: Where the folder's cells cannot teach the bundle, or its table cannot be understood.
        BundleError: Where the bundle's last layer cannot be replaced, or the new one cannot be written.
        LeukolensError: Where the new bundle would be worse; nothing is written.
    """
    parent, card = reader.bundle, reader.bundle.card
    old, replay = _head_and_replay(parent)
    said = folder.blind()
    local = labelled(reader, folder, watch)
    classes = tuple(card.classes)
    teacher = teacher or head_teacher(old, reader.threads)
    rng = np.random.default_rng(seed)
    outer = outer_folds(teacher, reader, local, replay, rng)
    reason = too_few(local.truth, local.groups, classes)
    judgement = card.judgement.model_copy(update={"sets": {}})
    comparison, blind, confusion = None, None, None
    if outer is not None:
        where = (
            f"{len(local)} cells of {len(set(local.groups))} groups of {folder.lab}, "
            f"by {_LEARNERS[teacher.method]} that had not seen their group"
        )
        if reason is None:
            judgement = refitted(card.judgement, outer, local, classes, where)
        before, after = as_read(reader, local, outer, judgement)
        comparison, blind = compare(before, after), blind_of(before, after, said)
        if reason is None:
            judgement = with_shares(judgement, after)
            confusion = confusion_by(after, judgement, where, folder.lab)
    verdict: Verdict = "too few to tell"
    decides = _decides(comparison, blind)
    if reason is None and decides is not None:
        if decides.verdict == "worse":
            raise LeukolensError(worse(decides), "Keep the bundle as it is, check the labels, or add cells")
        verdict = decides.verdict
    own = teacher.learn(all_of(local), replay, rng)
    model = model_of(own, reader, local)
    familiarity, judgement = made_familiar(parent, judgement, local, model, replay, outer, folder.lab)
    counts = np.bincount(local.truth, minlength=len(classes))
    cells = {key: int(count) for key, count in zip(classes, counts, strict=True) if count}
    before_it, after_it, difference = figures_of(decides)
    part = Adapted(
        parent=card.name, parent_sha256=parent.sha256, date=today(),
        method=teacher.method if own.classifier else "head",  # training may have gone none of the way
        cells=cells, groups=len(set(local.groups)), strength=own.strength, verdict=verdict,
        before=before_it, after=after_it, difference=difference,
        blind=blind.cells if blind is not None and decides is blind.comparison else 0,
    )  # fmt: skip
    new = card.model_copy(
        update={
            "judgement": judgement,
            "confusion": confusion,
            "learned_from": [*card.learned_from, learned_from(folder, local)],
        }
    )
    carried = parent.replay
    if replay is not None and own.classifier is not None:
        carried = replay_of(moved(replay, local.features, model.features))
    norms = own.normalisation or parent.normalisation
    quick = parent.quick if own.classifier is None else None
    parts = Parts(own.head, parent.detector, familiarity, carried, norms, quick, parent.vectors)
    written = write_own(new, parts, own.classifier or parent.classifier, part, folder.lab, local.crops, out)
    return Adaptation(
        parent, written, cells, 0, len(set(local.groups)), len(local.lost), local.failed, verdict, reason or "",
        comparison, blind, outer.kept if outer else None,
    )  # fmt: skip


def adapt_unlabelled(reader: Reader, root: Path, out: Path, *, watch: Watch | None = None) -> Adaptation:
    """Takes the statistics of the network's normalisation anew; nothing says whether that is better.

    Of a bundle that doesn't say what its normalisation was, the last features alone are matched, in mean and
    deviation, to those that it carries. The card's method says which it was.

    Args:
        reader: Holds the bundle to start from.
        root: Folder of images of single cells, without labels.
        out: The new bundle's file.
        watch: As for `labelled`.

    Raises:
        DataError: Where the folder holds no cell, or cells that the bundle knows: it harms them.
        BundleError: Where the bundle carries neither, or the new one cannot be written.
    """
    parent, card = reader.bundle, reader.bundle.card
    head, replay = _head_and_replay(parent)
    norms = None if parent.normalisation is None else norms_in(parent.normalisation)
    if norms is None and replay is None:
        raise BundleError(
            f"bundle {card.name} carries neither its normalisation nor features to match a laboratory's to",
            "Use the shipped bundle, or label some cells and name their folder",
        )
    crops, features, lost, failed = unlabelled(reader, root, watch)
    must_be_new(parent, features, root)
    lab = root.resolve().name
    if norms is not None:
        own = with_normalisation(reader, norms, head, crops, lab)
    else:
        assert replay is not None
        own = with_features(parent, head, replay, features)
    part = Adapted(
        parent=card.name, parent_sha256=parent.sha256, date=today(), method=own.method, cells={},
        unlabelled=len(crops), groups=0, verdict="not judged",
    )  # fmt: skip
    new = card.model_copy(update={"judgement": own.judgement, "confusion": None})
    quick = parent.quick if own.classifier == parent.classifier else None
    parts = Parts(
        own.head, parent.detector, own.familiarity, parent.replay, parent.normalisation, quick, parent.vectors
    )
    written = write_own(new, parts, own.classifier, part, lab, crops, out)
    reason = "cells without labels cannot say whether answers are right"
    return Adaptation(
        parent, written, {}, len(crops), 0, lost, failed, "not judged", reason, None, None, None
    )


def _decides(comparison: Comparison | None, blind: Blind | None) -> Comparison | None:
    return blind.comparison if blind is not None and blind.reason is None else comparison


def _head_and_replay(parent: Bundle) -> tuple[Head, Replay | None]:
    head = head_of(parent.classifier)
    classes, width = head.weight.shape
    if classes != len(parent.card.classes):
        raise BundleError(
            f"bundle {parent.card.name} has {classes} answers for {len(parent.card.classes)} classes",
            "Export it or fetch it again",
        )
    return head, None if parent.replay is None else replay_in(parent.replay, width, classes)
