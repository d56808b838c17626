"""The limit on failed attempts to sign in: each makes the next wait longer, for its name and its address.

Three counts decide, each over the last hour: of an address, of a name, and of a name from one address. The count of
a name alone stops no address that has hardly tried it: nobody can lock another person out from elsewhere.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from leukolens.errors import Refused
from leukolens.server.store.columns import now
from leukolens.server.store.database import one_at_a_time
from leukolens.server.store.tables import Attempt

FORGOTTEN_AFTER = timedelta(hours=1)
POSTGRESQL_LOCK = 0x1E0C2
OWN_TRIES = 3
"""What an address has for each name, however often others failed at that name."""


class TooMany(Refused):
    """Too many failed attempts; seconds says how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many attempts to sign in have failed", f"Wait {seconds} seconds and try again")
        self.seconds = seconds
        self.args = (seconds,)


class Limit(NamedTuple):
    """So many failures are free; each further one doubles the wait, from a second to the longest, in seconds."""

    free: int
    longest: int


ADDRESS = Limit(20, 900)  # a laboratory may be one address
NAME = Limit(10, 300)
PAIR = Limit(5, 900)


@dataclass(frozen=True, slots=True)
class Source:
    """Who tries: a name, and where from.

    Attributes:
        name: As users have it; empty for one that nobody can have.
        address: IP address, or empty.
    """

    name: str
    address: str

    @property
    def by_name(self) -> str:
        """The key of the name's count."""
        return f"name {self.name}"

    @property
    def by_address(self) -> str:
        """The key of the address's count; of a whole network for IPv6, whose hosts choose their address."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return f"address {self.address[:40]}"
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped:
                return f"address {address.ipv4_mapped}"
            return f"address {ipaddress.ip_network((int(address), 64), strict=False)}"
        return f"address {address}"

    @property
    def by_both(self) -> str:
        """The key of the count of this name from this address."""
        return f"{self.by_name} {self.by_address}"


@dataclass(frozen=True, slots=True)
class Reserved:
    """An attempt that counts as failed until it is taken back.

    Attributes:
        source: Whose it is.
        failures: How many there are of the name within the hour, with this one.
        from_address: Likewise, of the address.
    """

    source: Source
    failures: int
    from_address: int
    ids: tuple[int, ...]


def wait(session: Session, source: Source) -> int:
    """Seconds until this source may try again; 0 for at once."""
    counts = _counts(session, source)
    own = counts.get(source.by_both, (0, None))[0]
    limits = {source.by_address: ADDRESS, source.by_both: PAIR}
    if own >= OWN_TRIES:
        limits[source.by_name] = NAME
    ends = [_until(limit, *counts[key]) for key, limit in limits.items() if key in counts]
    return max([0, *(ceil((end - now()).total_seconds()) for end in ends)])


def must_not_wait(session: Session, source: Source) -> None:
    """Refuses a source that has failed too often of late.

    Raises:
        TooMany: With the seconds to wait.
    """
    if seconds := wait(session, source):
        raise TooMany(seconds)


def reserve(session: Session, source: Source) -> Reserved:
    """Counts an attempt as failed before it is looked at, so that many at once are no way around the limit.

    Raises:
        TooMany: With the seconds to wait; nothing is counted then.
    """
    one_at_a_time(session, POSTGRESQL_LOCK)
    must_not_wait(session, source)
    session.execute(delete(Attempt).where(Attempt.at < now() - FORGOTTEN_AFTER))
    rows = [Attempt(key=key, at=now()) for key in (source.by_name, source.by_address, source.by_both)]
    session.add_all(rows)
    session.flush()
    counts = _counts(session, source)
    return Reserved(
        source, counts[source.by_name][0], counts[source.by_address][0], tuple(row.id for row in rows)
    )


def take_back(session: Session, reserved: Reserved) -> int:
    """Forgets an attempt that turned out right, and the failures of its name from its address before it.

    What the address did to other names stays: signing in with one's own is no way to try others'.

    Returns:
        How many failures of the name within the hour there were before it, from wherever.
    """
    session.execute(delete(Attempt).where(Attempt.id.in_(reserved.ids)))
    keys = (reserved.source.by_name, reserved.source.by_both)
    session.execute(delete(Attempt).where(Attempt.key.in_(keys)))
    return reserved.failures - 1


def worth_telling(failures: int, limit: Limit) -> bool:
    """Whether so many failures are told in the trail: where the limit begins, and at each doubling of that."""
    times, rest = divmod(failures, limit.free)
    return rest == 0 and times.bit_count() == 1


def _counts(session: Session, source: Source) -> dict[str, tuple[int, datetime]]:
    found = session.execute(
        select(Attempt.key, func.count(), func.max(Attempt.at))
        .where(
            Attempt.key.in_((source.by_name, source.by_address, source.by_both)),
            Attempt.at >= now() - FORGOTTEN_AFTER,
        )
        .group_by(Attempt.key)
    )
    return {key: (count, last) for key, count, last in found}


def _until(limit: Limit, failures: int, last: datetime) -> datetime:
    over = failures - limit.free
    return last + timedelta(seconds=0 if over < 0 else min(2**over, limit.longest))
