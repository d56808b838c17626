"""The hashes of the audit trail that stand outside it, on signed reports."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.server.store.tables import Report, Sample


def on_reports(session: Session) -> tuple[tuple[str, str], ...]:
    """What `trail.verify` must find: which signed report, and the hash on it."""
    found = session.execute(
        select(Report.trail_hash, Report.version, Sample.key)
        .join(Sample, Sample.id == Report.sample_id)
        .order_by(Report.id)
    )
    return tuple((f"report {row.version} of sample {row.key}", row.trail_hash) for row in found)
