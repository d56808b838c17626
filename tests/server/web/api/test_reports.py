"""Signing by the API, opening again, and every format of every version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leukolens.server.signing.formats import FORMATS

Program = Callable[..., Any]
TABLES = {"cells", "differential"}  # of figures alone: they name no sample


@pytest.fixture
def client(program: Program) -> Any:
    return program("reviewer")


def sign(client: Any, sample: str) -> Any:
    answer = client.post(f"samples/{sample}/sign", json={"accept_unsure": True})
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestSigning:
    def test_a_reviewers_token_with_the_scope_signs_in_its_persons_name(
        self, client: Any, sample: str
    ) -> None:
        unsure = client.post(f"samples/{sample}/sign", json={})
        assert (unsure.status_code, unsure.json()["problem"]) == (409, "1 cell has no name yet")
        told = sign(client, sample)
        assert (told["version"], told["status"], told["signed_by"]) == (1, "final", "Reviewer")
        assert told["trail_hash"] == client.get("audit-trail/newest").json()["hash"]
        assert client.get(f"samples/{sample}").json()["state"] == "signed"
        for method, address, body in (
            ("post", "sign", {}), ("post", "labels", {"cells": [1], "label": "band"}), ("patch", "", {"notes": ""}),
            ("put", "comments/rouleaux", {"grade": "1+"}),
        ):  # fmt: skip
            answer = client.request(method, f"samples/{sample}/{address}".rstrip("/"), json=body)
            assert answer.status_code == 409

    def test_neither_a_reader_nor_a_token_without_the_scope_does(self, program: Program, sample: str) -> None:
        for client in (
            program("reader"),
            program("administrator", "samples:read", "samples:write", "review"),
        ):
            for act, body in (("sign", {"accept_unsure": True}), ("reopen", {"why": "a slip"})):
                assert client.post(f"samples/{sample}/{act}", json=body).status_code == 403
        assert program().get(f"samples/{sample}").json()["state"] == "open"

    def test_opened_again_it_is_amended_and_the_reason_is_said_only_where_asked_for(
        self, client: Any, sample: str
    ) -> None:
        here = f"samples/{sample}"
        assert client.post(f"{here}/reopen", json={"why": "x"}).status_code == 409
        sign(client, sample)
        for why in ("", " \n", "x" * 501, "\0"):
            assert client.post(f"{here}/reopen", json={"why": why}).status_code == 422
        assert client.post(f"{here}/reopen", json={"why": "Maria rang"}).json()["state"] == "open"
        assert (sign(client, sample)["version"], sign_of(client, here)[1]["status"]) == (2, "amended")
        assert [one["reopened"] for one in sign_of(client, here)] == [True, False]
        assert [one["reopened_why"] for one in sign_of(client, here)] == [None, None]
        assert sign_of(client, here, identifiers=True)[0]["reopened_why"] == "Maria rang"


def sign_of(client: Any, here: str, **asked: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{here}/reports", params=asked).json()["reports"]
    return found


class TestFiles:
    def test_every_format_comes_as_what_it_is_and_with_the_identifier_only_where_asked_for(
        self, client: Any, program: Program, sample: str
    ) -> None:
        sign(client, sample)
        unknowing = program("reviewer", "samples:read")
        for name, kind in FORMATS.items():
            address = f"samples/{sample}/reports/1/{name}"
            answer = unknowing.get(address)
            assert answer.headers["content-type"] == kind.media_type
            assert answer.headers["content-disposition"].endswith(f'"{sample}-v1-{kind.file_name}"')
            assert unknowing.get(address, params={"identifiers": True}).status_code == 403
            asked = client.get(address, params={"identifiers": True})
            if name == "pdf":  # whose text is packed
                assert answer.content.startswith(b"%PDF")
                continue
            assert "Müller, Maria" not in answer.text
            assert ("Müller" in asked.text or "M\\u00fcller" in asked.text) == (name not in TABLES), name

    def test_what_is_no_version_or_no_format_is_not_found(self, client: Any, sample: str) -> None:
        here = f"samples/{sample}/reports"
        assert client.get(f"{here}/1/html").status_code == 404
        sign(client, sample)
        assert client.get(f"{here}/2/html").status_code == 404
        assert client.get(f"{here}/1/docx").status_code == 422
        assert client.get(f"{here}/{2**70}/html").status_code == 422
