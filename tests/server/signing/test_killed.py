"""A server ended with SIGKILL while it signs: what it said to have signed is signed, and nothing is half signed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from leukolens.server.settings import Settings
from leukolens.server.signing import formats
from leukolens.server.signing.sign import altered, versions
from leukolens.server.store import trail
from leukolens.server.store.known import on_reports

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

TIMES = [*range(2), *(pytest.param(number, marks=pytest.mark.slow) for number in range(2, 20))]
SIGN = """
import sys
from pathlib import Path
from leukolens.server.actor import Actor
from leukolens.server.intake.samples import find
from leukolens.server.signing.sign import reopen, sign
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
folder, url, key, user = sys.argv[1:]
database, files, reviewer = Database(url), Files(Path(folder)), Actor(int(user), "reviewer", "reviewer")
while True:
    with database.writing() as session:
        version = sign(session, files, reviewer, find(session, key), accept_unsure=True).version
    print("signed", version, flush=True)
    with database.writing() as session:
        reopen(session, reviewer, find(session, key), "again")
    print("opened", version, flush=True)
"""


@pytest.mark.parametrize("number", TIMES)
def test_a_server_killed_while_it_signs_has_every_version_that_it_said_to_have_signed(
    desk: Any, settings: Settings, number: int
) -> None:
    url = desk.database.engine.url.render_as_string(hide_password=False)
    arguments = [str(settings.folder), url, "SAMPLE22", str(desk.reviewer.user_id)]
    with subprocess.Popen(
        [sys.executable, "-c", SIGN, *arguments], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        first = server.stdout.readline()
        time.sleep(random.Random(number).uniform(0, 0.5))
        server.send_signal(signal.SIGKILL)
        # A line that was cut off was no answer.
        said = [line for line in (first + server.stdout.read()).splitlines(keepends=True) if line[-1] == "\n"]
    assert first == "signed 1\n"
    with desk.reading() as (session, sample):
        kept = versions(session, sample)
        events = [f"{act} {one.version}\n" for one in kept for act in ("signed", "opened")]
        if kept[-1].reopened_why is None:
            events.pop()
        assert events[: len(said)] == said
        assert len(events) <= len(said) + 1
        assert (sample.state == "signed") == (kept[-1].reopened_why is None)
        assert all(one.reopened_why == "again" for one in kept[:-1])
        found = trail.verify(session, on_reports(session))
        assert found.problems == ()
        assert [entry.action for entry in desk.trail()] == [
            "sign" if event.startswith("signed") else "reopen" for event in events
        ]
        assert altered(session) == ()
        for one in kept[-2:]:
            assert formats.write(one, "html", desk.files)
