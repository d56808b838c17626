"""`leukolens serve` answers, lets the first administrator in, and ends when told to; `leukolens user` adds people."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from typer.testing import CliRunner

from leukolens.cli.main import app
from leukolens.cli.serve import address_of, bound, missing
from leukolens.errors import ServerError
from leukolens.server.people import passwords, users
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.tables import TrailEntry, User

PASSWORD = "a fine smear on glass"
COMMAND = [sys.executable, "-m", "leukolens.cli.main", "serve"]


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server in a process of its own, and what it said once it answered."""
    process = subprocess.Popen(
        [*COMMAND, "--folder", str(folder), "--port", "0", "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def ask(address: str, method: str, path: str, form: dict[str, str] | None = None) -> http.client.HTTPResponse:
    parts = urlsplit(address)
    headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded", "Origin": address}
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        connection.request(method, path, urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        answer.read()
        return answer


def end(process: subprocess.Popen[str], how: int = signal.SIGINT) -> tuple[int, str]:
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_it_answers_lets_the_first_administrator_in_ends_on_ctrl_c_and_remembers(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    with serving(folder) as (process, said):
        assert said["schema"] == "leukolens.serve/1"
        assert said["address"].startswith("http://127.0.0.1:")
        assert ask(said["address"], "GET", "/login").getheader("Location") == "/first"
        form = {"name": "anna", "full_name": "Anna Freud", "password": PASSWORD, "again": PASSWORD}
        answer = ask(said["address"], "POST", "/first", {"code": said["code"], **form})
        assert answer.status == 303
        assert "HttpOnly" in (answer.getheader("Set-Cookie") or "")
        assert answer.getheader("Server") is None
        assert end(process) == (0, "")
    assert folder.stat().st_mode & 0o077 == 0  # nobody else on this machine looks into it
    with serving(folder) as (process, said):
        assert said["code"] is None
        answer = ask(said["address"], "POST", "/login", {"name": "anna", "password": PASSWORD})
        assert answer.status == 303
        code, complaint = end(process, signal.SIGTERM)
        assert code in (0, -signal.SIGTERM)
        assert complaint == ""


def test_people_are_told_where_it_is_and_the_code(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--folder", str(tmp_path / "memory"), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        first, second = process.stdout.readline(), process.stdout.readline()
        assert first.startswith("Leukolens answers at http://127.0.0.1:")
        assert "/first with the code " in second
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", "--folder", str(tmp_path / "memory"), "--port", str(port)])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"port {port} of 127.0.0.1 is taken. Give another with --port, or end what has it."
    ]
    assert not (tmp_path / "memory").exists()


def test_an_address_that_is_none_is_one_line() -> None:
    with pytest.raises(ServerError, match=r"no\.such\.host\.invalid"):
        bound("no.such.host.invalid", 0)
    with pytest.raises(ServerError, match="cannot be had"):
        bound("192.0.2.1", 0)  # reserved for documents: no machine has it


def test_a_free_port_is_found_and_the_address_says_it(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    with closing(bound("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening, settings) == f"http://127.0.0.1:{port}"
        assert address_of(listening, replace(settings, host="localhost")) == f"http://localhost:{port}"


@pytest.mark.parametrize(
    ("host", "secure", "said"),
    [
        ("127.0.0.1", False, ""), ("localhost", False, ""), ("::1", True, ""), ("127.0.0.1", True, ""),
        ("0.0.0.0", False, "no encryption"), ("192.0.2.7", False, "TLS proxy"), ("0.0.0.0", True, "goes around"),
    ],
)  # fmt: skip
def test_whoever_binds_elsewhere_is_told_what_is_missing(
    tmp_path: Path, host: str, secure: bool, said: str
) -> None:
    lines = missing(Settings(tmp_path, host=host, secure=secure))
    assert len(lines) <= 2
    assert said in " ".join(lines)
    assert bool(lines) == bool(said)


class TestUser:
    def run(self, folder: Path, *words: str, typed: str = PASSWORD + "\n") -> Any:
        return CliRunner().invoke(app, ["user", *words, "--folder", str(folder)], input=typed)

    def test_the_first_administrator_can_be_there_before_the_first_start(self, tmp_path: Path) -> None:
        folder = tmp_path / "memory"
        result = self.run(
            folder, "add", "Anna", "--role", "administrator", "--full-name", "Anna Freud", "--json"
        )
        assert result.exit_code == 0, result.stderr
        said = json.loads(result.stdout)
        assert (said["schema"], said["name"], said["role"]) == ("leukolens.user/1", "anna", "administrator")
        database = Database(Settings(folder).url)
        with database.reading() as session:
            user = users.find(session, said["id"])
            assert user.full_name == "Anna Freud"
            assert passwords.verify(user.password_hash, PASSWORD)
            assert session.query(TrailEntry.actor, TrailEntry.action).one() == ("terminal", "create person")
        database.close()

    def test_what_cannot_be_taken_is_one_line(self, tmp_path: Path) -> None:
        self.run(tmp_path, "add", "anna")
        for words, typed in (
            (["add", "anna"], PASSWORD), (["add", "berta"], "short"), (["add", "berta"], ""),
            (["add", "a b"], PASSWORD), (["add", "berta", "--role", "owner"], PASSWORD),
            (["password", "nobody"], PASSWORD),
        ):  # fmt: skip
            result = self.run(tmp_path, *words, typed=typed)
            assert result.exit_code == 1
            assert len(result.stderr.splitlines()) == 1
            assert "Traceback" not in result.stderr

    def test_a_new_password_lets_a_disabled_person_in_again(self, tmp_path: Path) -> None:
        self.run(tmp_path, "add", "anna")
        database = Database(Settings(tmp_path).url)
        with database.writing() as session:
            session.query(User).update({"disabled": True})
        assert self.run(tmp_path, "password", "ANNA", typed="quite another one\n").exit_code == 0
        with database.reading() as session:
            user = session.query(User).one()
            assert not user.disabled
            assert passwords.verify(user.password_hash, "quite another one")
        database.close()

    def test_a_server_that_there_is_not_has_no_people(self, tmp_path: Path) -> None:
        result = self.run(tmp_path / "mistyped", "password", "anna")
        assert result.exit_code == 1
        assert not (tmp_path / "mistyped").exists()
