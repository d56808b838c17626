"""The field view: its picture, a box around every cell, and the fields before and after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

KEY, OTHER = "SAMPLE22", "ANQTHER2"


@pytest.fixture
def cells(shelf: Any, picture: Any) -> list[int]:
    """Of the first field; the second has none, the third could not be read, the fourth is still to be read."""
    made: list[int] = shelf.add(KEY, "Jane Doe")
    shelf.field(KEY, picture("PNG", seed=3), "failed", "is <b>damaged</b>")
    shelf.field(KEY, picture("PNG", seed=4), "waiting")
    return made


@pytest.fixture(params=["reader", "reviewer"])
def visit(request: pytest.FixtureRequest, browser: Any, cells: list[int]) -> Any:
    return browser().sign_in(request.param)


@pytest.fixture
def reader(browser: Any, cells: list[int]) -> Any:
    return browser().sign_in("reader")


@pytest.fixture
def look(parsed: Any) -> Callable[..., Any]:
    """A field's page, taken apart."""

    def look(visit: Any, place: int, query: str = "", key: str = KEY) -> Any:
        answer = visit.get(f"/samples/{key}/fields/{place}{query}")
        assert answer.status_code == 200
        return parsed(answer)

    return look


def listed(page: Any) -> list[int]:
    """The cells of the list beside the picture."""
    return [int(made["data-id"]) for made in page.all("button") if "data-id" in made]


def test_it_shows_the_picture_and_lists_its_cells_as_they_are_shown_everywhere(
    visit: Any, look: Any, cells: list[int]
) -> None:
    page = look(visit, 1)
    assert page.all("img", class_="still")[0]["src"] == f"/samples/{KEY}/fields/1/image"
    assert listed(page) == [cells[3], cells[0], cells[1], cells[2], cells[4]]  # from left to right
    assert page.data["cells"][0] == {
        "id": cells[3],
        "box": [0, 40, 40, 80],
        "label": "eosinophil",
        "at_edge": True,
    }
    assert [one["label"] for one in page.data["cells"]] == [
        "eosinophil", "neutrophil", "lymphocyte", "unsure", "other",
    ]  # fmt: skip
    assert "Field 1 of 4" in page.said
    assert "97 %" in page.said
    assert page.all("div", id="field")[0]["data-locked"] == "no"


def test_it_leads_to_its_neighbours_and_no_farther(reader: Any, look: Any) -> None:
    around = {
        place: [made["href"].rsplit("/", 1)[1] for made in look(reader, place).all("a", class_="button")]
        for place in (1, 2, 4)
    }
    assert around == {1: ["2"], 2: ["1", "3"], 4: ["3"]}


def test_a_cell_can_be_chosen_by_the_address(reader: Any, look: Any, cells: list[int]) -> None:
    assert look(reader, 1, f"?cell={cells[1]}").all("div", id="field")[0]["data-cell"] == str(cells[1])
    assert look(reader, 1).all("div", id="field")[0]["data-cell"] == ""
    assert reader.get(f"/samples/{KEY}/fields/1?cell=x").status_code == 422


def test_what_persons_did_is_shown(reader: Any, look: Any, cells: list[int], post: Any) -> None:
    post(reader, f"/samples/{KEY}/label", {"cells": [cells[0]], "label": "blast"})
    post(reader, f"/samples/{KEY}/strike", {"cells": [cells[1]]})
    drawn = post(reader, f"/samples/{KEY}/draw", {"place": 1, "box": [280, 20, 310, 50]})
    page = look(reader, 1)
    new = drawn.json()["changed"][0]["id"]
    assert listed(page) == [new, cells[3], cells[0], cells[2], cells[4]]
    assert {one["id"]: one["label"] for one in page.data["cells"]}[cells[0]] == "blast"
    assert "drawn" in page.said


def test_a_kind_that_no_browser_shows_is_shown_by_its_view_once_it_was_read(
    reader: Any, look: Any, shelf: Any, picture: Any
) -> None:
    page = look(reader, 2)
    assert page.all("img", class_="still")[0]["src"] == f"/samples/{KEY}/fields/2/image"
    assert "disabled" not in page.all("button", id="draw")[0]
    assert "no white cell found" in page.said
    assert "None." in page.said
    shelf.field(KEY, picture("TIFF", seed=9), "failed", "is truncated")
    page = look(reader, 5)
    assert not page.all("img", class_="still")
    assert "There is no picture of this field to show." in page.said
    assert "disabled" in page.all("button", id="draw")[0]


def test_a_field_that_was_not_read_says_why(reader: Any, look: Any) -> None:
    failed, waiting = look(reader, 3), look(reader, 4)
    assert "is <b>damaged</b>" in failed.said
    assert any("failed" in one for one in failed.said)
    assert any("waiting" in one for one in waiting.said)
    assert listed(failed) == listed(waiting) == []


def test_there_is_no_other_field(reader: Any, shelf: Any) -> None:
    shelf.add(OTHER, "John Roe", cells=False)
    for address in (f"/samples/{KEY}/fields/5", f"/samples/{KEY}/fields/0", f"/samples/{OTHER}/fields/1"):
        answer = reader.get(address)
        assert answer.status_code == 404
        assert "There is no such field. Look for it on the sample's page." in answer.text.replace(
            "&#39;", "'"
        )
        assert "Roe" not in answer.text


def test_it_is_locked_where_the_sample_is_signed_or_is_not_this_persons_to_read(
    reader: Any, look: Any, browser: Any, shelf: Any
) -> None:
    shelf.add(OTHER, "John Roe", two_readers=True)
    page = look(reader, 1, key=OTHER)
    assert page.all("div", id="field")[0]["data-locked"] == "yes"
    assert "disabled" in page.all("button", id="draw")[0]
    reader.send_own(f"/samples/{OTHER}/turns/begin", turn=1)
    assert look(reader, 1, key=OTHER).all("div", id="field")[0]["data-locked"] == "no"
    shelf.add("SGNED222", "John Roe")
    assert "disabled" not in look(reader, 1, key="SGNED222").all("button", id="draw")[0]
    browser().sign_in("reviewer").send_own("/samples/SGNED222/sign", accept_unsure="yes")
    page = look(reader, 1, key="SGNED222")
    assert page.all("div", id="field")[0]["data-locked"] == "yes"
    assert "disabled" in page.all("button", id="draw")[0]
