"""A receiver is told of a signed report in words that it can verify, once it can be reached; signing never waits."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.errors import ServerError
from leukolens.server.signing.formats import write
from leukolens.server.signing.messenger import Messenger
from leukolens.server.signing.webhook import (
    SIGNATURE,
    WAITS,
    Webhook,
    body,
    deliver,
    due,
    post,
    signature,
)
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Job

SECRET = "a secret of both"


class Receiver:
    """Another program: what it was sent, and what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), content))
                status = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the name that the server looks for

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def signed(desk: Any) -> Any:
    desk.sign(accept_unsure=True, announce=True)
    return desk


def job_of(desk: Any) -> tuple[int, str, int, str | None]:
    with desk.reading() as (session, _):
        job = session.scalars(select(Job)).one()
        return job.id, job.state, job.attempts, job.problem


def test_what_is_told_can_be_verified(signed: Any, receiver: Receiver) -> None:
    number, *_ = job_of(signed)
    assert deliver(signed.database, signed.files, Webhook(receiver.url, SECRET), number)
    ((path, headers, content),) = receiver.got
    assert path == "/hook"
    expected = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"sha256={expected}" == signature(SECRET, content)
    told = json.loads(content)
    with signed.signed() as row:
        assert told == {
            "event": "report.signed",
            "sample": "SAMPLE22",
            "version": 1,
            "status": "final",
            "signed": row.signed_at.isoformat(timespec="seconds"),
            "sha256": hashlib.sha256(write(row, "json", signed.files)).hexdigest(),
        }
    assert job_of(signed)[1:] == ("done", 1, None)


def test_nobody_is_named_in_it(signed: Any) -> None:
    with signed.signed() as row:
        assert b"Jane" not in body(row, "SAMPLE22", signed.files)


def test_a_failure_is_tried_again_after_longer_and_longer(signed: Any, receiver: Receiver) -> None:
    number, *_ = job_of(signed)
    receiver.answers = [503] * (len(WAITS) + 1)
    waited = []
    for attempt in range(1, len(WAITS) + 1):
        before = now()
        assert not deliver(signed.database, signed.files, Webhook(receiver.url, SECRET), number)
        assert job_of(signed)[1:3] == ("waiting", attempt)
        with signed.reading() as (session, _):
            assert due(session) is None
            wait = WAITS[attempt - 1]
            assert due(session, before + timedelta(seconds=wait - 1)) is None
            later = due(session, now() + timedelta(seconds=wait))
            assert later is not None
            assert later.id == number
        waited.append(wait)
    assert waited == sorted(set(waited))
    assert not deliver(signed.database, signed.files, Webhook(receiver.url, SECRET), number)
    assert job_of(signed)[1:] == (
        "failed",
        len(WAITS) + 1,
        "the webhook at 127.0.0.1 answered 503",
    )


def test_a_receiver_that_is_not_there_is_tried_again(signed: Any, receiver: Receiver) -> None:
    number, *_ = job_of(signed)
    gone = Webhook("http://127.0.0.1:9/hook", SECRET)
    assert not deliver(signed.database, signed.files, gone, number)
    assert job_of(signed)[1] == "waiting"
    assert deliver(signed.database, signed.files, Webhook(receiver.url, SECRET), number)
    assert job_of(signed)[1:3] == ("done", 2)


def test_no_redirection_is_followed(receiver: Receiver) -> None:
    receiver.answers = [302]
    with pytest.raises(ServerError, match="answered 302"):
        post(Webhook(receiver.url, SECRET), b"{}")
    assert [path for path, *_ in receiver.got] == ["/hook"]


def test_a_sample_that_was_deleted_meanwhile_is_not_told_of(signed: Any, receiver: Receiver) -> None:
    number, *_ = job_of(signed)
    with signed.writing() as (_, sample):
        sample.deleted = now()
    assert not deliver(signed.database, signed.files, Webhook(receiver.url, SECRET), number)
    assert receiver.got == []
    assert job_of(signed)[1] == "failed"


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://host/x", "http:///x", "lis.example"])
def test_what_is_no_address_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(ServerError, match="URL"):
        Webhook(url, SECRET)


def test_a_webhook_wants_a_secret_and_never_shows_it() -> None:
    with pytest.raises(ServerError, match="no secret"):
        Webhook("https://lis.example", "")
    assert SECRET not in repr(Webhook("https://lis.example", SECRET))


def test_the_messenger_delivers_what_waits_and_what_comes(signed: Any, receiver: Receiver) -> None:
    receiver.answers = [500]
    messenger = Messenger(signed.database, signed.files, Webhook(receiver.url, SECRET), look_every=0.05)
    messenger.start()
    try:
        _until(lambda: job_of(signed)[2] == 1)
        assert job_of(signed)[1] == "waiting"
        with signed.writing() as (session, _):  # as if its wait were over
            session.scalars(select(Job)).one().request = {"report_id": 1}
        messenger.wake()
        _until(lambda: job_of(signed)[1] == "done")
    finally:
        messenger.stop()
    assert len(receiver.got) == 2


def _until(holds: Any) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")
