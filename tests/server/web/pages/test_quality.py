"""The page of the weekly figures, and the same as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from leukolens.server.store.columns import now
from leukolens.server.store.tables import BlindAnswer, Cell, Field
from leukolens.server.web.text import LANGUAGES, texts


@pytest.fixture
def read(shelf: Any, actors: Any) -> list[int]:
    """Two samples, read now and two weeks ago; of the newer one a lymphocyte was named a monocyte, blind."""
    cells: list[int] = shelf.add("SAMPLE22", "Jane Doe")
    shelf.add("ANQTHER2", "John Roe")
    with shelf.database.writing() as session:
        session.execute(update(Field).values(read_at=now()))
        older = select(Cell.field_id).where(Cell.id.not_in(cells))
        session.execute(update(Field).where(Field.id.in_(older)).values(read_at=now() - timedelta(weeks=2)))
        session.execute(update(Cell).where(Cell.id == cells[1]).values(blind=True))
        session.add(BlindAnswer(cell_id=cells[1], turn=1, label="monocyte", user_id=actors.reader.user_id))
    return cells


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_has_a_table_and_lines_without_a_style_of_their_own(
    browser: Any, read: list[int], parsed: Callable[..., Any], language: str
) -> None:
    answer = browser().sign_in("reviewer").get(f"/quality?language={language}")
    page = parsed(answer)
    said = texts(language)
    assert answer.status_code == 200
    assert {said["quality.title"], said["quality.off"], said["quality.biased"], said["quality.how"]} <= set(
        page.said
    )
    assert said["quality.share"].format(percent="0.0", total=1) in answer.text  # with the blind cell's limits
    assert len(page.all("th", scope="row")) == 2
    assert len(page.all("polyline", class_="line unsure")) == 1
    assert len(page.all("path", class_="limits")) == 1
    assert not re.search(r"<(style|script)(?![^>]*src=)|\sstyle=", answer.text)
    for tag, made in page.tags:
        if tag in {"circle", "polyline"} and "points" in made:
            assert all(0 <= float(number) <= 900 for number in re.split("[ ,]", made["points"]))


def test_nothing_was_read_yet(browser: Any, shelf: Any) -> None:
    assert texts("en")["quality.none"] in browser().sign_in("administrator").get("/quality").text


def test_readers_neither_see_it_nor_are_led_there(browser: Any, shelf: Any) -> None:
    visit = browser().sign_in("reader")
    assert visit.get("/quality").status_code == 403
    assert 'href="/quality"' not in visit.get("/").text
    assert visit.get("/api/v1/quality", headers={"Accept": "application/json"}).status_code == 403


def test_programs_get_the_same(browser: Any, read: list[int], shelf: Any) -> None:
    visit = browser().sign_in("reviewer")
    newest, before = visit.get("/api/v1/quality").json()["weeks"]
    assert (newest["bundle_sha256"], newest["samples"], newest["cells"], newest["unlike"]) == (
        shelf.bundle,
        2,
        4,
        None,
    )
    assert {name: newest["blind"][name] for name in ("count", "total", "share", "low")} == {
        "count": 0, "total": 1, "share": 0.0, "low": 0.0,
    }  # fmt: skip
    assert (newest["unsure"]["count"], newest["unsure"]["total"], before["blind"]) == (1, 4, None)
    assert [week["week"] for week in visit.get("/api/v1/quality?weeks=2").json()["weeks"]] == [newest["week"]]
    assert visit.get("/api/v1/quality?weeks=0").status_code == 422
