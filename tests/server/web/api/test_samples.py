"""Samples and their fields by the API: made, sent, listed, changed, deleted; whose they are only for whoever asks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from PIL import Image as Picture
from sqlalchemy import select

from leukolens.server.store.database import Database
from leukolens.server.store.tables import Field, Identity, TrailEntry

Program = Callable[..., Any]
WHOSE = ("Müller", "Maria")


UNFIT: tuple[dict[str, Any], ...] = (
    {}, {"identifier": ""}, {"identifier": "two\nlines"}, {"identifier": "x" * 201}, {"identifier": 7},
    {"identifier": "P", "white_count": 0}, {"identifier": "P", "white_count": "6"},
    {"identifier": "P", "white_count": 1e9}, {"identifier": "P", "surprise": "whisper"},
    {"identifier": "nul\0"}, {"identifier": "P", "notes": "\0"}, {"identifier": "P", "two_readers": "yes"},
)  # fmt: skip


def image(kind: str, red: int = 200) -> bytes:
    Picture.new("RGB", (40, 30), (red, 90, 120)).save(buffer := BytesIO(), kind)
    return buffer.getvalue()


class TestSamples:
    def test_one_is_made_read_and_found_again(self, program: Program, sample: str, worker: Any) -> None:
        client = program("reader")
        told = client.get(f"samples/{sample}").json()
        assert told["key"] == sample
        assert (told["state"], told["white_count"], told["two_readers"]) == ("open", 8.0, False)
        assert (told["bundle"], told["bundle_sha256"]) == ("tiny", worker.bundle)
        assert told["progress"] == {"waiting": 0, "running": 0, "done": 1, "failed": 0, "ended": True}
        assert told["cells"] == 5
        assert worker.woken == [["read"]]
        (row,) = client.get("samples").json()["samples"]
        assert row["key"] == sample
        assert (row["fields"], row["waiting"], row["failed"], row["cells"]) == (1, 0, 0, 5)
        (job,) = client.get("jobs").json()["jobs"]
        assert (job["kind"], job["state"], job["sample"], job["field"]) == ("read", "done", sample, 1)
        assert client.get("jobs", params={"state": "failed"}).json() == {"jobs": [], "next": None}

    def test_lists_are_turned_page_by_page_without_a_gap_or_an_empty_last_one(
        self, program: Program, sample: str
    ) -> None:
        client = program()
        made = [client.post("samples", json={"identifier": f"P-{one}"}).json()["key"] for one in range(3)]
        wanted = [*reversed(made), sample]
        for limit in (1, 2, 3, 4, 500):
            found: list[str] = []
            pages, after = 0, None
            while pages == 0 or after is not None:
                page = client.get(
                    "samples", params={"limit": limit, **({"after": after} if after else {})}
                ).json()
                found += [row["key"] for row in page["samples"]]
                pages, after = pages + 1, page["next"]
            assert (found, pages) == (wanted, -(-len(wanted) // limit))
        answer = client.get("samples", params={"state": "signed"}).json()
        assert answer == {"samples": [], "next": None}

    def test_whose_smear_it_is_is_said_only_where_that_is_asked_for(
        self, program: Program, sample: str
    ) -> None:
        client = program("reader")
        for address in ("samples", f"samples/{sample}", f"samples/{sample}/fields", "jobs"):
            assert not [word for word in WHOSE if word in client.get(address).text]
        asked = {"identifiers": True}
        told = client.get(f"samples/{sample}", params=asked).json()
        assert told["identity"] == {"identifier": "Müller, Maria 1970", "notes": "ward 3, Maria"}
        (row,) = client.get("samples", params={**asked, "words": "MÜLLER maria"}).json()["samples"]
        assert (row["key"], row["identifier"]) == (sample, "Müller, Maria 1970")
        assert client.get("samples", params={"words": "meier"}).json()["samples"] == []

    def test_a_token_without_that_scope_is_told_of_nobody_and_cannot_guess(
        self, program: Program, sample: str
    ) -> None:
        client = program("administrator", "samples:read", "samples:write", "review", "sign")
        refused = "this token has no scope identifiers"
        for address in ("samples", f"samples/{sample}", f"samples/{sample}/reports"):
            answer = client.get(address, params={"identifiers": True})
            assert (answer.status_code, answer.json()["problem"]) == (403, refused)
        for words in ("Müller", "nobody"):
            answer = client.get("samples", params={"words": words})
            assert (answer.status_code, answer.json()["problem"]) == (403, refused)
        changed = client.patch(f"samples/{sample}", json={"white_count": 5.0})
        assert changed.json()["identity"] is None

    def test_a_change_leaves_alone_what_it_does_not_name(
        self, program: Program, sample: str, database: Database
    ) -> None:
        client = program("reader")
        assert client.patch(f"samples/{sample}", json={"notes": "seen"}).json()["white_count"] == 8.0
        assert client.patch(f"samples/{sample}", json={"white_count": None}).json()["white_count"] is None
        assert client.patch(f"samples/{sample}", json={}).status_code == 200
        with database.reading() as session:
            kept = session.scalars(select(Identity)).one()
            assert (kept.identifier, kept.notes) == ("Müller, Maria 1970", "seen")

    def test_what_cannot_be_taken_is_refused_and_not_said_again(self, program: Program) -> None:
        client = program()
        for body in UNFIT:
            answer = client.post("samples", json=body)
            assert (answer.status_code, set(answer.json())) == (422, {"problem", "remedy"}), body
            assert "whisper" not in answer.text
        assert client.get("samples").json()["samples"] == []

    def test_a_reviewer_deletes_one_and_it_is_gone_but_for_the_trail(
        self, program: Program, sample: str, database: Database, worker: Any
    ) -> None:
        address = f"samples/{sample}/deletion"
        assert program("reader").post(address, json={"why": "a mistake"}).status_code == 403
        client = program("reviewer")
        named = client.post(address, json={"why": "it was müller, maria 1970"})
        assert (named.status_code, "Maria" in named.text) == (422, False)
        answer = client.post(address, json={"why": "a mistake"})
        assert (answer.status_code, answer.content) == (204, b"")
        assert worker.woken[-1] == ["erase"]
        for gone in (f"samples/{sample}", f"samples/{sample}/fields", f"samples/{sample}/cells"):
            assert client.get(gone).status_code == 404
        assert client.get("samples").json()["samples"] == client.get("jobs").json()["jobs"] == []
        newest = client.get("audit-trail/newest").json()
        with database.reading() as session:
            last = session.scalars(select(TrailEntry).order_by(TrailEntry.id.desc())).first()
            assert last is not None
            assert (last.action, newest) == ("delete", {"entries": last.id, "hash": last.hash})


class TestFields:
    def test_images_and_zips_are_taken_and_of_the_others_it_is_said_why(
        self, program: Program, sample: str, smear: bytes
    ) -> None:
        with ZipFile(packed := BytesIO(), "w") as archive:
            archive.writestr("a.png", image("PNG", 10))
            archive.writestr("../b.txt", "no image")
        files = [
            ("files", ("again.png", smear)),
            ("files", ("many.zip", packed.getvalue())),
            ("files", ("x.html", b"<script>")),
        ]
        answer = program("reader").post(f"samples/{sample}/fields", files=files)
        told = answer.json()
        assert (answer.status_code, told["taken"], told["known"]) == (200, 1, 1)
        assert [one["name"] for one in told["refused"]] == ["many.zip: ../b.txt", "x.html"]

    def test_they_are_listed_in_order_and_given_back_as_they_were_sent(
        self, program: Program, sample: str, smear: bytes
    ) -> None:
        client = program("reader")
        tiff = image("TIFF")
        client.post(f"samples/{sample}/fields", files={"files": ("b.tif", tiff)})
        first = client.get(f"samples/{sample}/fields", params={"limit": 1}).json()
        assert (len(first["fields"]), first["next"]) == (1, 1)
        rest = client.get(f"samples/{sample}/fields", params={"limit": 1, "after": 1}).json()
        assert (rest["fields"][0]["place"], rest["next"]) == (2, None)
        for field, sent, kind in (
            (first["fields"][0], smear, "image/png"),
            (rest["fields"][0], tiff, "application/octet-stream"),
        ):
            assert (field["state"], field["cells"], field["width"]) == ("ok", 5, 320)
            assert field["image_sha256"] == hashlib.sha256(sent).hexdigest()
            answer = client.get(f"samples/{sample}/fields/{field['place']}/image")
            assert (answer.content, answer.headers["content-type"]) == (sent, kind)
            assert answer.headers["content-disposition"].startswith(f'attachment; filename="{sample}-field-')
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get(f"samples/{sample}/fields/3/image").status_code == 404

    def test_failed_ones_are_read_again(
        self, program: Program, sample: str, database: Database, worker: Any
    ) -> None:
        with database.writing() as session:
            session.scalars(select(Field)).one().state = "failed"
        answer = program("reader").post(f"samples/{sample}/fields/again")
        assert answer.json() == {"fields": 1}
        assert worker.woken[-1] == ["read"]


class TestServer:
    def test_who_asks_is_told_with_the_scopes_of_the_token(
        self, program: Program, browser: Any, staff: Any
    ) -> None:
        told = program("reader", "review", "samples:read").get("me").json()
        assert told == {"name": "reader", "role": "reader", "scopes": ["review", "samples:read"]}
        visit = browser().sign_in("reviewer")
        assert visit.get("/api/v1/me").json() == {"name": "reviewer", "role": "reviewer", "scopes": None}

    def test_the_active_bundle_is_among_the_bundles(self, program: Program, worker: Any) -> None:
        client = program("reader")
        active = client.get("bundles/active").json()
        assert (active["name"], active["sha256"], active["active"]) == ("tiny", worker.bundle, True)
        assert [one["active"] for one in client.get("bundles").json()["bundles"]] == [True, False]
