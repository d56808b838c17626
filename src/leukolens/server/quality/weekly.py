"""How the machine does over the weeks: agreement with persons, unsure cells, and how far the stain has drifted.

Agreement is that of cells that the machine named and a person named too; a class of the reviewer's is agreed with
where the machine named the class that it is a form of. On cells that were named blind it is what the machine is worth,
but for false finds, which a person strikes out. On all cells it is flattered: the answer was shown before, and a
group confirmed as a whole agrees by one click.

A week is that of the ISO calendar in which a field was read, by UTC. The cells of deleted samples are counted on: they
say nothing of anybody. Hidden cells are among those that are unsure or outside, as a sum over the week.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.card import Judgement
from leukolens.differential.limits import exact_limits
from leukolens.errors import LeukolensError
from leukolens.reading.batch_check import BatchCheck, check_counted
from leukolens.server.actor import Actor
from leukolens.server.quality import counting
from leukolens.server.quality.counting import Sums
from leukolens.server.review.counted import card_of
from leukolens.server.store.files import Files
from leukolens.server.store.tables import BundleFile

WEEKS, MOST_WEEKS = 26, 260
Key = tuple[int, int, str]
"""ISO year, ISO week, the bundle's digest."""


@dataclass(frozen=True, slots=True)
class Share:
    """Some of all.

    Attributes:
        count: Of those that are meant.
        total: All of them; at least 1.
        low: Lower 95 % limit of the share, from 0 to 1 (Clopper & Pearson, as `exact_limits`).
        high: Upper one.
    """

    count: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.count / self.total


@dataclass(frozen=True, slots=True)
class Week:
    """What one bundle read in one week.

    Attributes:
        year: Of the ISO calendar.
        week: Of the ISO calendar, 1 to 53.
        bundle: The bundle's name.
        bundle_sha256: Its digest.
        samples: That had a field read.
        cells: White cells that the machine found and nobody struck out, without those that the edge cuts.
        blind: Agreement on those that were named blind; None where none was.
        named: Agreement on all that were named; None where none was.
        unsure: Those that the machine would not name, of all cells; None where there is no cell.
        outside: Those outside what was learned, of all whose distance is known; None where it is of none.
        unlike: Whether clearly more lie outside than in any laboratory that the bundle has learned from; None with
            too few cells to say, or where that is not known of the bundle.
    """

    year: int
    week: int
    bundle: str
    bundle_sha256: str
    samples: int
    cells: int
    blind: Share | None
    named: Share | None
    unsure: Share | None
    outside: Share | None
    unlike: bool | None


@dataclass(slots=True)
class _Counts:
    samples: set[int] = field(default_factory=set)
    days: list[Sums] = field(default_factory=list)
    blind: list[Sums] = field(default_factory=list)


def weekly(
    session: Session, files: Files, actor: Actor, now: datetime, *, weeks: int = WEEKS
) -> tuple[Week, ...]:
    """The figures of the last weeks, the newest first; weeks in which nothing was read are left out.

    Args:
        session: To read by.
        files: Where the bundles are.
        actor: A reviewer at least.
        now: The time, UTC.
        weeks: How many, this one among them: 1 to 260.

    Raises:
        Refused: Where the actor may not.
    """
    actor.must_have("samples:read")
    actor.must_be("reviewer", "look at the weekly figures")
    since = _beginning(now, min(max(weeks, 1), MOST_WEEKS))
    names = dict(session.execute(select(BundleFile.sha256, BundleFile.name)).all())
    judged = {sha256: one for sha256 in names if (one := _judgement(files, sha256)) is not None}
    usual = {sha256: one.usual_within for sha256, one in judged.items() if one.usual_within is not None}
    found: dict[Key, _Counts] = defaultdict(_Counts)
    for day, bundle, sample in counting.samples(session, since):
        found[(*day.isocalendar()[:2], bundle)].samples.add(sample)
    for day_sums in counting.sums(session, since, usual):
        found[_key(day_sums)].days.append(day_sums)
    for day_sums in counting.blind_sums(session, since):
        found[_key(day_sums)].blind.append(day_sums)
    made = [_week(key, names.get(key[2], ""), counts, judged.get(key[2])) for key, counts in found.items()]
    return tuple(sorted(made, key=lambda one: (-one.year, -one.week, one.bundle, one.bundle_sha256)))


def agreement(days: Iterable[Sums]) -> Share | None:
    """How many of the cells that machine and person both named they call the same; None where there is none."""
    days = list(days)
    return share(sum(one.same for one in days), sum(one.both for one in days))


def share(count: int, total: int) -> Share | None:
    """A share with its limits; None of nothing."""
    return Share(count, total, *exact_limits(count, total)) if total else None


def _week(key: Key, name: str, counts: _Counts, judgement: Judgement | None) -> Week:
    year, week, sha256 = key
    cells = sum(one.cells for one in counts.days)
    measured = sum(one.measured for one in counts.days)
    outside = sum(one.outside for one in counts.days)
    checked: BatchCheck | None = None if judgement is None else check_counted(outside, measured, judgement)
    return Week(
        year=year,
        week=week,
        bundle=name,
        bundle_sha256=sha256,
        samples=len(counts.samples),
        cells=cells,
        blind=agreement(counts.blind),
        named=agreement(counts.days),
        unsure=share(sum(one.unsure for one in counts.days), cells),
        outside=share(outside, measured),
        unlike=None if checked is None else checked.unlike,
    )


def _key(one: Sums) -> Key:
    return (*one.day.isocalendar()[:2], one.bundle)


def _beginning(now: datetime, weeks: int) -> datetime:
    monday = now.astimezone(UTC).date() - timedelta(days=now.astimezone(UTC).weekday(), weeks=weeks - 1)
    return datetime.combine(monday, time(), UTC)


def _judgement(files: Files, sha256: str) -> Judgement | None:
    try:
        return card_of(files, sha256).judgement
    except LeukolensError:  # its file is gone: what it read is still told of
        return None
