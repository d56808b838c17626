"""Signing a sample's report, opening it again, and the versions that there are. Nothing signed is ever changed."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Missing, Refused, ServerError, Unfit
from leukolens.report.sample import SampleReport
from leukolens.server.actor import Actor
from leukolens.server.intake.samples import find, find_open
from leukolens.server.review import counted, turns
from leukolens.server.review.labels import CROP
from leukolens.server.signing import webhook
from leukolens.server.signing.document import digest, digest_of, document, report_of
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Field, Job, Report, Sample, TrailEntry, User

LONGEST_WHY = 500


def sign(
    session: Session,
    files: Files,
    actor: Actor,
    sample: Sample,
    *,
    accept_unsure: bool = False,
    announce: bool = False,
) -> Report:
    """Signs the sample: locks it, and keeps all that its report's files are written from.

    The report's hash of the audit trail is that of the entry of this signing, and the entry holds the digest of the
    report's content.

    Args:
        session: In a writing transaction.
        files: Where its bundle lies.
        actor: A reviewer at least.
        sample: The sample.
        accept_unsure: Whether cells may be left without a name.
        announce: Whether a webhook is told of it, by a job.

    Raises:
        Refused: Where the actor may not, or is no person.
        Missing: Where the sample was deleted.
        Conflict: Where it is signed already, or `obstacles` are in the way.
    """
    actor.must_have("sign")
    actor.must_be("reviewer", "sign a sample")
    signer = None if actor.user_id is None else session.get(User, actor.user_id)
    if signer is None:
        raise Refused(f"{actor.name} is no person, and may not sign a sample", "Sign in")
    sample = find_open(session, sample.key)
    for obstacle in obstacles(session, sample):
        raise obstacle
    report = counted.report(session, sample, files)
    # Of cells whose machine's answer is hidden nobody can be asked: they count as the machine says.
    turn = None if sample.two_readers else turns.FIRST
    unsure = counted.live(session, sample, files, turn=turn).reviewed.tally.unsure
    if unsure and not accept_unsure:
        cells = "1 cell has" if unsure == 1 else f"{unsure} cells have"
        raise Conflict(f"{cells} no name yet", "Name them, or sign and leave them unsure")
    return _kept(session, actor, signer, sample, report, announce=announce)


def obstacles(session: Session, sample: Sample) -> tuple[Conflict, ...]:
    """What keeps a sample from being signed, besides cells without a name; none where nothing does."""
    states = session.scalars(select(Field.state).where(Field.sample_id == sample.id)).all()
    found = []
    if waiting := states.count("waiting"):
        fields = "1 field is" if waiting == 1 else f"{waiting} fields are"
        found.append(Conflict(f"{fields} still to be read", "Wait for it"))
    elif all(state == "failed" for state in states):
        found.append(Conflict(f"sample {sample.key} has no field that was read", "Add fields"))
    # Only the image tells whether black inside it cuts a drawn cell, which then isn't counted.
    cut = Job.sample_id == sample.id, Job.kind == CROP, Job.state.in_(("waiting", "running"))
    if drawn := session.scalar(select(func.count()).select_from(Job).where(*cut)):
        cells = "1 drawn cell is" if drawn == 1 else f"{drawn} drawn cells are"
        found.append(Conflict(f"{cells} still to be cut out", "Wait for it"))
    if sample.two_readers:
        try:
            left = turns.unsettled(session, sample)
        except Conflict as conflict:
            found.append(conflict)
        else:
            if left:
                cells = "1 cell" if left == 1 else f"{left} cells"
                found.append(Conflict(f"two readers differ on {cells}", "Let a third person settle it"))
    return tuple(found)


def reopen(session: Session, actor: Actor, sample: Sample, why: str) -> Sample:
    """Opens a signed sample again; the version that was signed stays, with the reason.

    The trail holds the reason's digest alone, since a reason may name a patient and the trail is for ever.

    Args:
        session: In a writing transaction.
        actor: A reviewer at least.
        sample: The sample.
        why: The reason; stands on later versions.

    Raises:
        Refused: Where the actor may not.
        Missing: Where the sample was deleted.
        Conflict: Where it isn't signed.
        Unfit: Where there is no reason, or one that is too long.
    """
    actor.must_have("sign")
    actor.must_be("reviewer", "open a signed sample again")
    why = " ".join(why.split())
    if not why:
        raise Unfit("no reason is given", "Say why it is opened again")
    if len(why) > LONGEST_WHY or not why.isprintable():
        raise Unfit(f"the reason is no text of up to {LONGEST_WHY} characters", "Shorten it, or type it anew")
    sample = find(session, sample.key)
    session.refresh(sample, with_for_update=True)
    if sample.deleted is not None:
        raise Missing("there is no such sample", "Look for it in the list of samples")
    if sample.state != "signed":
        raise Conflict(f"sample {sample.key} is not signed", "Go on reviewing it")
    last = versions(session, sample)[-1]
    last.reopened_why = why
    sample.state = "open"
    trail.append(
        session,
        actor,
        "reopen",
        f"sample {sample.key}",
        before={"state": "signed", "version": last.version},
        after={"state": "open", "why_sha256": webhook.sha256_of(why.encode())},
    )
    return sample


def versions(session: Session, sample: Sample) -> tuple[Report, ...]:
    """Every signed version, the oldest first."""
    return tuple(
        session.scalars(select(Report).where(Report.sample_id == sample.id).order_by(Report.version))
    )


def version(session: Session, sample: Sample, number: int) -> Report:
    """One signed version.

    Raises:
        Missing: Where there is none of this number.
    """
    wanted = select(Report).where(Report.sample_id == sample.id, Report.version == number)
    found = session.scalars(wanted).one_or_none()
    if found is None:
        raise Missing(f"sample {sample.key} has no version {number}", "Look at the versions that it has")
    return found


def is_unchanged(session: Session, signed: Report) -> bool:
    """Whether a kept report is what the audit trail says was signed."""
    entry = session.scalars(select(TrailEntry).where(TrailEntry.hash == signed.trail_hash)).one_or_none()
    return entry is not None and _is_told(entry, signed)


def altered(session: Session) -> tuple[str, ...]:
    """Every signed version that is not what its entry of the audit trail says was signed, one sentence each.

    One whose entry is gone is `leukolens.server.store.trail.verify`'s to tell of; those of a deleted sample are gone.
    """
    signed = (
        select(Report, TrailEntry, Sample.key)
        .join(TrailEntry, TrailEntry.hash == Report.trail_hash)
        .join(Sample, Sample.id == Report.sample_id)
        .where(Sample.deleted.is_(None))
        .order_by(Report.id)
        .execution_options(yield_per=50)
    )
    return tuple(
        f"report {report.version} of sample {key} is not what was signed"
        for report, entry, key in session.execute(signed)
        if not _is_told(entry, report)
    )


def _is_told(entry: TrailEntry, signed: Report) -> bool:
    told = (entry.after or {}).get("sha256")
    try:
        # PostgreSQL writes very large numbers in another way than they were signed: read, they are the same.
        return told is not None and (
            told == digest_of(signed.document) or told == digest(report_of(signed.document))
        )
    except ServerError:  # it is no report any more
        return False


def _kept(
    session: Session, actor: Actor, signer: User, sample: Sample, report: SampleReport, *, announce: bool
) -> Report:
    if report.review is None:
        raise ServerError(f"the report of sample {sample.key} tells of no review", "Report this as a bug")
    earlier = versions(session, sample)
    number = earlier[-1].version + 1 if earlier else 1
    status = "amended" if earlier else "final"
    review = replace(
        report.review,
        status=status,  # type: ignore[arg-type]
        version=number,
        reviewer=signer.full_name,
        signed=now(),
        reopened=tuple(one.reopened_why or "" for one in earlier),
    )
    report = replace(report, review=review)
    entry = trail.append(
        session,
        actor,
        "sign",
        f"sample {sample.key}",
        before={"state": "open", "version": number - 1},
        after={"state": "signed", "version": number, "status": status, "sha256": digest(report)},
    )
    report = replace(report, review=replace(review, trail_hash=entry.hash))
    row = Report(
        sample_id=sample.id,
        version=number,
        status=status,
        signed_by=signer.id,
        signed_at=review.signed,
        trail_hash=entry.hash,
        document=document(report),
    )
    session.add(row)
    sample.state = "signed"
    session.flush()
    if announce:
        webhook.announce(session, row)
    return row
