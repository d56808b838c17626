"""Tells another program that a report was signed: a signed POST, tried again with growing waits, by a job."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import ServerError
from leukolens.server.jobs import queue
from leukolens.server.signing.formats import write
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Job, Report, Sample

log = logging.getLogger(__name__)
KIND = "webhook"
SIGNATURE = "X-Leukolens-Signature"
"""``sha256=`` and the HMAC-SHA256 of the body, in hexadecimal."""
WAITS = (10, 60, 300, 1800, 7200, 21600)
"""Seconds to wait after each attempt that failed; after the last one's failure the job has failed."""
TIMEOUT = 10.0
DUE, GONE = "due", "the report is not there any more"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to tell of signed reports.

    Attributes:
        url: http or https.
        secret: What both sides know, to sign by.

    Raises:
        ServerError: Where the URL is none of those, or there is no secret.
    """

    url: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ServerError("the webhook's URL is none", "Give one such as https://lis.example/leukolens")
        if not self.secret:
            raise ServerError("the webhook has no secret", "Give one: without it anybody could speak for you")


def announce(session: Session, report: Report) -> Job:
    """Has a webhook told of a signed report, once the transaction is kept."""
    return queue.enqueue(session, KIND, sample_id=report.sample_id, request={"report_id": report.id})


def body(report: Report, key: str, files: Files) -> bytes:
    """What is sent: the sample's key, version, status, and the digest of the JSON that the server gives for it.

    Nothing in it says whose blood it is: whoever gets it asks for the report, by the API.
    """
    told = {
        "event": "report.signed",
        "sample": key,
        "version": report.version,
        "status": report.status,
        "signed": report.signed_at.isoformat(timespec="seconds"),
        "sha256": sha256_of(write(report, "json", files)),
    }
    return json.dumps(told, separators=(",", ":")).encode()


def signature(secret: str, content: bytes) -> str:
    """The value of the header `SIGNATURE`."""
    return f"sha256={hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()}"


def post(webhook: Webhook, content: bytes, *, timeout: float = TIMEOUT) -> int:
    """Sends it once, and gives the status of the answer. No redirection is followed.

    Raises:
        ServerError: Where nobody answers in time, or not with a status of success.
    """
    headers = {"Content-Type": "application/json", SIGNATURE: signature(webhook.secret, content)}
    request = urllib.request.Request(webhook.url, content, headers, method="POST")
    where = urlsplit(webhook.url).hostname
    try:
        with _opener().open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        raise ServerError(f"the webhook at {where} answered {error.code}", "Look at its log") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ServerError(
            f"the webhook at {where} cannot be reached ({reason})", "Check that it runs"
        ) from error


def due(session: Session, at: datetime | None = None) -> Job | None:
    """The oldest job of this kind whose time has come; None where there is none."""
    moment = at or now()
    waiting = select(Job).where(Job.kind == KIND, Job.state == "waiting").order_by(Job.id)
    return next((job for job in session.scalars(waiting) if _due(job) <= moment), None)


def deliver(
    database: Database, files: Files, webhook: Webhook, job_id: int, *, timeout: float = TIMEOUT
) -> bool:
    """Does one job: sends what it is about, and keeps that it is done, or when it is to be tried again.

    No transaction is open while the other side is waited for. Cut off in between, the job waits and is done again:
    the receiver may be told twice, never not at all.

    Args:
        database: Where the job is.
        files: Where images lie.
        webhook: Where to tell.
        job_id: The job.
        timeout: Seconds to wait for an answer.

    Returns:
        Whether it was taken.

    Raises:
        ServerError: Where the database cannot be written.
    """
    with database.reading() as session:
        content = _content(session, files, session.get_one(Job, job_id))
    status, problem = 0, GONE
    if content is not None:
        try:
            status, problem = post(webhook, content, timeout=timeout), ""
        except ServerError as error:
            problem = error.problem
            log.warning("job %d (webhook): %s", job_id, problem)
    with database.writing() as session:
        job = session.get_one(Job, job_id, with_for_update=True)
        job.attempts += 1
        if not problem:
            queue.finish(session, job, {"status": status})
        elif content is None or job.attempts > len(WAITS):
            queue.fail(session, job, problem)
        else:
            again = now() + timedelta(seconds=WAITS[job.attempts - 1])
            # A new dictionary: a change inside the old one would not be noticed.
            job.request = {**job.request, DUE: again.isoformat()}
            job.problem = problem
    return not problem


def _content(session: Session, files: Files, job: Job) -> bytes | None:
    """What is to be sent; None where the report or its sample is gone."""
    report = session.get(Report, job.request.get("report_id"))
    sample = None if report is None else session.get(Sample, report.sample_id)
    if report is None or sample is None or sample.deleted is not None:
        return None
    return body(report, sample.key, files)


def _due(job: Job) -> datetime:
    told: Any = job.request.get(DUE)
    return datetime.fromisoformat(told) if told else job.created


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        """None: what is signed for one address goes to no other."""
        return


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirection)


def sha256_of(content: bytes) -> str:
    """A digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
