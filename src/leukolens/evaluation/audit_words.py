"""What an audit found, in sentences: the same on the terminal and on the page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from leukolens.evaluation.audit import Audit
from leukolens.evaluation.audit_fields import MOST_PHOTOGRAPHS
from leukolens.taxonomy import cell_class


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence.

    Attributes:
        number: What was counted, or a dash.
        text: Of what.
        leak: Whether figures measured across it would flatter.
    """

    number: str
    text: str
    leak: bool = False


def class_word(key: str) -> str:
    """A class's name; what bears no label says so."""
    return cell_class(key).name if key else "no label"


def findings(audit: Audit) -> tuple[Finding, ...]:
    """The findings, leaks between splits first."""
    found = []
    for overlap in audit.overlaps:
        if overlap.whole:
            text = (
                f"of {overlap.photographs:,} photographs of {overlap.split} are {overlap.other}'s own or show its "
                f"fields: it is no validation set for {overlap.other}"
            )
        else:
            text = (
                f"of {overlap.photographs:,} photographs of {overlap.split} stand, or have their field, in "
                f"{overlap.other}"
            )
        found.append(Finding(f"{overlap.shared:,}", text, leak=True))
    inside = [pair for pair in audit.pairs if not pair.across]
    kinds: Counter[str] = Counter(pair.kind for pair in inside)
    torn: Counter[str] = Counter(pair.kind for pair in inside if pair.leak)
    for kind, text in (
        ("identical", "pairs of photographs within one split have equal pixels"),
        ("near copy", "pairs within one split are near copies"),
        ("same field", "pairs within one split show the same field"),
    ):
        apart = (
            f"; a split by the set's own groups would tear {torn[kind]:,} of them apart" if torn[kind] else ""
        )
        found.append(Finding(f"{kinds[kind]:,}", text + apart, leak=bool(torn[kind])))
    if not audit.fields_compared:
        text = f"fields were not compared: more than {MOST_PHOTOGRAPHS:,} photographs"
        found.append(Finding("–", text))
    differing = sum(pair.labels_differ for pair in audit.pairs)
    if differing:
        found.append(Finding(f"{differing:,}", "pairs of one picture bear two labels"))
    if audit.originals is not None:
        used = len({original.name for original in audit.fields.originals})
        text = (
            f"of {len(audit.photographs):,} photographs were found among the {audit.originals:,} of bccd, made from "
            f"{used:,} of those; whoever learns from bccd leaves out what TEST was made from"
        )
        found.append(Finding(f"{len(audit.fields.originals):,}", text))
    if audit.fields.strays:
        text = f"of {audit.fields.compared:,} second copies that were compared do not show their photograph"
        found.append(Finding(f"{len(audit.fields.strays):,}", text))
    found.append(Finding(f"{len(audit.unreadable):,}", "images cannot be read"))
    found.append(Finding(f"{len(audit.lost):,}", f"images have no white cell in view{_by_split(audit)}"))
    if audit.doubtful is None:
        found.append(Finding("–", f"doubtful labels: {HOW_TO_PREDICT}"))
    else:
        sure = sum(doubt.confident for doubt in audit.doubtful)
        text = f"of {audit.predicted:,} photographs with predictions have a doubtful label, {sure:,} of them clearly"
        found.append(Finding(f"{len(audit.doubtful):,}", text))
    return tuple(found)


HOW_TO_PREDICT = "train with --cross-fit, then give its held_out.json with --predictions"


def _by_split(audit: Audit) -> str:
    lost = Counter(one.image.split for one in audit.lost)
    images: Counter[str] = Counter()
    for count in audit.counts:
        images[count.split] += count.images
    parts = [
        f"{split} {lost[split]:,} of {images[split]:,}, {100 * lost[split] / images[split]:.2f} %"
        for split in audit.splits
        if lost[split]
    ]
    return f" ({'; '.join(parts)})" if parts else ""
