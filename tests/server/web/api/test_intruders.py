"""What an intruder tries at the API: without a token, with an old one, beyond its scope, past the sample, too much."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from sqlalchemy import select, update

from leukolens.server.actor import SERVER
from leukolens.server.people import users
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Sample, Token
from leukolens.server.web.api.door import BODY_BYTES

Program = Callable[..., Any]
NEEDS = {
    "samples:read": [("GET", "samples"), ("GET", "jobs"), ("GET", "bundles"), ("GET", "audit-trail/newest")],
    "samples:write": [
        ("POST", "samples"),
        ("POST", "samples/{key}/fields"),
        ("POST", "samples/{key}/deletion"),
    ],
    "review": [("POST", "samples/{key}/labels"), ("POST", "samples/{key}/turns/1/begin")],
    "sign": [("POST", "samples/{key}/sign"), ("POST", "samples/{key}/reopen")],
    "bundles": [("POST", f"bundles/{'0' * 64}/activate")],
}
NO_KEYS = (
    "..",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%00",
    "a%00b",
    "%ff",
    "%F0%9F%92%89",
    "'--",
    "9" * 5000,
    " ",
)
NO_NUMBERS = ("0", "-1", "2147483648", str(2**63), str(10**100), "9" * 5000, "1%00", "x")
NO_WORDS = ("%00", "a%00b", "%ff%fe", "%ED%A0%80", "%25_", "%5C")
NO_DOCUMENTS = (
            b"", b"{", b"\xff\xfe", b"[" * 50_000, b'{"identifier": "\\ud800"}', b'{"identifier": "a\\u0000b"}',
            b'{"identifier": "P", "white_count": NaN}', b'{"identifier": "P", "white_count": 1e999}',
            b'{"identifier": "P", "white_count": ' + b"9" * 5000 + b"}", b"null", b'"P"',
)  # fmt: skip


def described(document: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Method, address with likely values in it, and the scopes that a token needs."""
    found = []
    for path, methods in document["paths"].items():
        filled = re.sub(r"\{(place|cell|version|turn)\}", "1", path).replace("{name}", "html")
        for method, one in methods.items():
            scopes = [scope for way in one["security"] for scope in way.get("token", ())]
            likely = filled.replace("{finding}", "rouleaux").replace("{sha256}", "0" * 64)
            found.append((method.upper(), likely, scopes))
    return found


class TestDoor:
    def test_nothing_but_the_description_is_open_to_strangers(
        self, document: dict[str, Any], browser: Any, sample: str
    ) -> None:
        stranger = browser()
        for method, path, _ in described(document):
            answer = stranger.request(method, path.format(key=sample))
            assert (answer.status_code, set(answer.json())) == (401, {"problem", "remedy"}), path
            assert answer.headers["www-authenticate"] == "Bearer"
        assert stranger.get("/api/openapi.json").status_code == 200
        assert sample not in stranger.get("/api/").text

    def test_every_operation_refuses_a_token_without_its_scope_whether_there_is_such_a_sample_or_not(
        self, document: dict[str, Any], program: Program, sample: str
    ) -> None:
        clients = {
            scope: program("administrator", *(other for other in (*NEEDS, "identifiers") if other != scope))
            for scope in NEEDS
        }
        seen = set()
        for method, whole, scopes in described(document):
            path = whole.removeprefix("/api/v1/")
            if path == "me":
                continue
            (scope,) = scopes
            seen.add(scope)
            answers = [clients[scope].request(method, path.format(key=key)) for key in (sample, "NQSUCH22")]
            assert {answer.status_code for answer in answers} == {403}, path
            assert answers[0].content == answers[1].content
            assert answers[0].json()["problem"] == f"this token has no scope {scope}"
        assert seen == set(NEEDS)

    def test_the_scopes_are_those_that_are_meant(self, document: dict[str, Any]) -> None:
        needed = {(method, path): scopes for method, path, scopes in described(document)}
        for scope, addresses in NEEDS.items():
            for method, path in addresses:
                assert needed[method, f"/api/v1/{path}"] == [scope]

    def test_a_token_that_ended_was_revoked_or_is_a_disabled_persons_opens_nothing(
        self, program: Program, database: Database, staff: Any
    ) -> None:
        for change in ({"expires": now()}, {"revoked": now()}):
            client = program("reader")
            assert client.get("me").status_code == 200
            with database.writing() as session:
                session.execute(update(Token).values(**change))
            assert client.get("me").status_code == 401
        client = program("reviewer")
        with database.writing() as session:
            users.disable(session, SERVER, staff.reviewer)
        assert client.get("samples").status_code == 401

    def test_a_token_does_no_more_than_its_persons_role_at_that_moment(
        self, program: Program, sample: str, database: Database, staff: Any
    ) -> None:
        client = program("reviewer")
        with database.writing() as session:
            users.change(session, SERVER, staff.reviewer, role="reader")
        answer = client.post(f"samples/{sample}/sign", json={"accept_unsure": True})
        assert (answer.status_code, answer.json()["problem"]) == (
            403, "reviewer is a reader, and may not sign a sample",
        )  # fmt: skip

    def test_a_token_opens_no_page_and_makes_no_token(self, program: Program, sample: str) -> None:
        client = program()
        for address in ("/", f"/samples/{sample}", f"/samples/{sample}/gallery", "/people", "/account"):
            assert client.get(f"http://127.0.0.1:8000{address}").status_code == 403
        made = client.post("http://127.0.0.1:8000/account/tokens", data={"name": "x", "scopes": "sign"})
        assert made.status_code == 403

    def test_a_cookie_changes_something_only_with_its_own_logins_token_and_from_here(
        self, document: dict[str, Any], browser: Any, sample: str, database: Database
    ) -> None:
        visit, other = browser().sign_in("administrator"), browser().sign_in("administrator")
        assert visit.get(f"/api/v1/samples/{sample}").status_code == 200
        unsafe = [(method, path) for method, path, _ in described(document) if method != "GET"]
        assert len(unsafe) > 12
        for method, path in unsafe:
            for headers in (
                {}, {"X-CSRF-Token": other.csrf},
                {"X-CSRF-Token": visit.csrf, "Origin": "https://evil.example"},
            ):  # fmt: skip
                answer = visit.request(method, path.format(key=sample), headers=headers)
                assert (answer.status_code, set(answer.json())) == (403, {"problem", "remedy"}), path
        with database.reading() as session:
            assert session.scalars(select(Sample.deleted)).all() == [None]
        made = visit.post("/api/v1/samples", json={"identifier": "P-2"}, headers={"X-CSRF-Token": visit.csrf})
        assert made.status_code == 201


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
class TestInput:
    def test_what_is_no_key_is_no_sample(self, program: Program) -> None:
        client = program()
        rests = "", "/fields", "/cells", "/fields/1/image", "/reports/1/html", "/differential"
        for key, rest in product(NO_KEYS, rests):
            answer = client.get(f"samples/{key}{rest}")
            assert answer.status_code in {404, 405}, answer.text
            assert set(answer.json()) == {"problem", "remedy"}

    def test_what_is_no_number_is_refused(self, program: Program, sample: str) -> None:
        client = program()
        rests = (
            "/fields/{}/image",
            "/cells/{}",
            "/reports/{}/json",
            "/cells?field={}",
            "/cells?limit={}",
            "/cells?after={}",
        )
        for number, rest in product(NO_NUMBERS, rests):
            address = f"samples/{sample}{rest.format(number)}"
            answer = client.get(address)
            assert (answer.status_code, set(answer.json())) == (422, {"problem", "remedy"}), address

    def test_what_is_no_document_makes_no_sample(self, program: Program) -> None:
        client = program()
        for content in NO_DOCUMENTS:
            answer = client.post("samples", content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 422}, content[:80]
            assert set(answer.json()) == {"problem", "remedy"}
        assert client.get("samples").json()["samples"] == []

    def test_words_that_no_identifier_holds_find_nothing_or_all(self, program: Program, sample: str) -> None:
        client = program()
        for words in NO_WORDS:
            assert client.get(f"samples?words={words}").status_code == 200
            assert client.get(f"samples/{sample}/cells?label={words}").json()["cells"] == []

    def test_too_much_is_refused_before_it_is_read_whoever_says_how_much_it_is(
        self, program: Program, sample: str, settings: Any
    ) -> None:
        client = program()

        def pieces() -> Any:
            for _ in range(3 * BODY_BYTES // 2**16):
                yield b" " * 2**16

        for content in (b" " * (BODY_BYTES + 1), pieces()):
            assert client.post("samples", content=content).status_code == 413
        large = {"files": ("a.png", b"\x89PNG\r\n\x1a\n" + b"x" * settings.limits.upload_bytes)}
        assert client.post(f"samples/{sample}/fields", files=large).status_code == 413
        many = [("files", (f"{one}.png", b"x")) for one in range(settings.limits.files + 1)]
        assert client.post(f"samples/{sample}/fields", files=many).status_code in {400, 413, 422}
        one = {"files": ("a.png", b"\x89PNG\r\n\x1a\n" + b"x" * settings.limits.image_bytes)}
        told = client.post(f"samples/{sample}/fields", files=one).json()
        assert (told["taken"], len(told["refused"])) == (0, 1)

    def test_a_files_name_is_told_back_and_used_for_nothing(
        self, program: Program, sample: str, settings: Any
    ) -> None:
        client = program()
        sent = {"files": ("../../Müller\0.png", b"no image")}
        told = client.post(f"samples/{sample}/fields", files=sent).json()
        assert told["taken"] == 0
        assert not [path for path in settings.folder.rglob("*") if "ller" in path.name]


def test_only_the_api_is_described(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [path for path in document["paths"] if not path.startswith("/api/v1/")] == []
    for methods in document["paths"].values():
        for one in methods.values():
            assert one["summary"]
            assert one["description"]
            assert one["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith(
                "Problem"
            )
