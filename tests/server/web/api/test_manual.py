"""The manual's examples do what they say, and it names every address that there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest

from leukolens.server.people.tokens import SCOPES

MANUAL = (Path(__file__).resolve().parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
HOST = "http://127.0.0.1:8000"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smear: bytes) -> Path:
    """Where the examples run: with two fields in it."""
    (tmp_path / "field-1.png").write_bytes(smear)
    (tmp_path / "field-2.png").write_bytes(smear)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def curl(client: Any, line: str, known: dict[str, str]) -> Any:
    """Does what curl would: as much of it as the manual uses."""
    words = iter(shlex.split(Template(line).substitute(known)))
    assert next(words) == "curl"
    headers: dict[str, str] = {}
    files, content, address = [], None, ""
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            content = next(words)
        elif word == "-F":
            name, _, path = next(words).partition("=@")
            files.append((name, (path, Path(path).read_bytes())))
        else:
            address = word
    method = "POST" if files or content else "GET"
    return client.request(method, address, headers=headers, content=content, files=files or None)


def test_the_lines_of_curl_work_one_after_the_other(
    browser: Any, secret: Callable[..., str], folder: Path
) -> None:
    known = {"LEUKOLENS": f"{HOST}/api/v1", "LEUKOLENS_TOKEN": secret("reviewer", *SCOPES), "KEY": ""}
    answers = []
    for line in block("sh").splitlines():
        answer = curl(browser(), line, known)
        assert answer.is_success, answer.text
        answers.append(answer.json())
        known["KEY"] = answers[-1].get("key", known["KEY"])
    me, made, sent, sample, differential = answers
    assert me["name"] == "reviewer"
    assert len(made["key"]) == 8
    assert sent == {"taken": 1, "known": 1, "refused": []}  # both hold the same image here
    assert sample["progress"]["ended"]
    assert differential["reviewed"]["denominator"] == 2


def test_the_python_example_reads_names_signs_and_keeps_the_report(
    browser: Any, secret: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    client = browser()

    def opened(*, base_url: str, headers: dict[str, str]) -> Any:
        client.base_url = httpx.URL(base_url)
        client.headers.update(headers)
        return client

    monkeypatch.setattr(httpx, "Client", opened)
    monkeypatch.setenv("LEUKOLENS", f"{HOST}/api/v1")
    monkeypatch.setenv("LEUKOLENS_TOKEN", secret("reviewer", *(set(SCOPES) - {"identifiers"})))
    exec(compile(block("python"), "docs/api.md", "exec"), {})
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    said = capsys.readouterr().out
    assert "monocyte, because" in said
    assert re.search(r"^monocyte +33\.3 %$", said, re.MULTILINE)


def test_it_names_every_address_and_no_other(document: dict[str, Any]) -> None:
    told = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", MANUAL))
    there = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert told == there


def test_it_names_every_scope_and_every_way_to_fail(document: dict[str, Any]) -> None:
    assert set(re.findall(r"^\| `([a-z:]+)` \|", MANUAL, re.MULTILINE)) == set(SCOPES)
    rows = " ".join(re.findall(r"^\| ([\d, ]+) \|", MANUAL, re.MULTILINE))
    responses = document["paths"]["/api/v1/me"]["get"]["responses"]
    assert set(re.findall(r"\d{3}", rows)) == {status for status in responses if status >= "400"}
