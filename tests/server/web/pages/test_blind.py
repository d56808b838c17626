"""No address tells what the machine says of a cell that is to be named blind, until it is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from leukolens.server.store.tables import Cell
from leukolens.server.web.pages import routers
from leukolens.server.web.text import LANGUAGES, texts
from leukolens.taxonomy import ALL_CLASSES

KEY = "SAMPLE22"
VALUES = {"key": KEY, "place": 1, "number": 1, "version": 1, "name": "json"}
OTHERWISE = {
    "machine_class": "basophil", "probability": 0.99, "decision": "accept", "reason": "of quite another look",
    "distance": 77.0, "class_set": ["basophil"], "probabilities": {"basophil": 0.99, "monocyte": 0.01},
}  # fmt: skip


@pytest.fixture
def cells(shelf: Any) -> list[int]:
    made: list[int] = shelf.add(KEY, "Jane Doe")
    return made


@pytest.fixture
def hidden(shelf: Any, cells: list[int]) -> int:
    """The lymphocyte, which is to be named blind."""
    change(shelf, cells[1], blind=True)
    return cells[1]


@pytest.fixture
def visit(browser: Any, cells: list[int]) -> Any:
    return browser().sign_in("reviewer")


def change(shelf: Any, cell: int, **columns: Any) -> None:
    with shelf.database.writing() as session:
        session.execute(update(Cell).where(Cell.id == cell).values(**columns))


def addresses(app: Any, cell: int) -> Iterator[str]:
    """Every one that is about a sample or a cell."""
    values = {**VALUES, "cell": cell, "cell_id": cell}
    pages = [(route.path, route.methods) for router in routers for route in router.routes]  # type: ignore[attr-defined]
    programs = [(path, {one.upper() for one in methods}) for path, methods in app.openapi()["paths"].items()]
    for path, methods in (*pages, *programs):
        names = set(re.findall(r"{(\w+)", path))
        if "GET" in methods and names & {"key", "cell_id"}:
            assert names <= set(values), f"say what {path} is to be asked with"
            yield path.format(**values)
    yield from (f"/api/v1/samples/{KEY}/cells?label={kind.key}" for kind in ALL_CLASSES)
    yield f"/samples/{KEY}/cells/{cell}/evidence?label=monocyte"


def told(app: Any, visit: Any, post: Callable[..., Any], cell: int) -> dict[str, tuple[int, bytes]]:
    """All that is answered about a cell, by those routes and by what can be done to it without naming it."""
    found = {}
    for address in addresses(app, cell):
        answer = visit.get(address)
        found[address] = (answer.status_code, answer.content)
    struck = post(visit, f"/samples/{KEY}/strike", {"cells": [cell]}).json()["changed"]
    back = post(visit, f"/samples/{KEY}/undo").json()["changed"]
    return found | {"strike": (200, repr(struck).encode()), "undo": (200, repr(back).encode())}


def test_every_answer_is_the_same_whatever_the_machine_says(
    app: Any, visit: Any, post: Callable[..., Any], shelf: Any, hidden: int
) -> None:
    before = told(app, visit, post, hidden)
    change(shelf, hidden, **OTHERWISE)
    after = told(app, visit, post, hidden)
    assert [address for address in before if before[address] != after[address]] == []
    assert before["undo"][1] == repr([{"id": hidden, "label": None, "by": "machine", "blind": True}]).encode()
    assert before[f"/samples/{KEY}/cells/{hidden}/evidence"][0] == 404
    # The same comparison does find a cell that is not hidden.
    change(shelf, hidden, blind=False)
    shown = told(app, visit, post, hidden)
    differing = {address for address in before if shown[address] != after[address]}
    assert differing >= {
        f"/samples/{KEY}/gallery", f"/samples/{KEY}/cells/{hidden}", f"/samples/{KEY}/fields/1", "undo",
        f"/samples/{KEY}/differential", f"/api/v1/samples/{KEY}/cells", f"/api/v1/samples/{KEY}/cells/{hidden}",
        f"/api/v1/samples/{KEY}/differential", "/api/v1/samples/SAMPLE22/cells?label=basophil",
    }  # fmt: skip


def test_it_stands_by_itself_on_top_until_it_is_named(
    visit: Any, post: Callable[..., Any], parsed: Callable[..., Any], hidden: int
) -> None:
    page = parsed(visit.get(f"/samples/{KEY}/gallery"))
    first = page.all("section", class_="group")[0]
    (tile,) = page.all("div", id=f"c{hidden}")
    assert first["data-label"] == "blind"
    assert ("data-machine" in tile, "title" in tile, "data-blind" in tile) == (False, False, True)
    assert tile["aria-label"] == texts("en")["script.tile_blind"].format(place=1)
    answer = post(visit, f"/samples/{KEY}/label", {"cells": [hidden], "label": "monocyte"})
    assert answer.json()["changed"] == [{"id": hidden, "label": "monocyte", "by": "person"}]
    page = parsed(visit.get(f"/samples/{KEY}/gallery"))
    assert page.all("section", data_label="blind") == []
    (tile,) = page.all("div", id=f"c{hidden}")
    assert (tile["data-machine"], tile["data-by"]) == ("lymphocyte", "person")
    assert visit.get(f"/samples/{KEY}/cells/{hidden}").json()["machine_class"] == "lymphocyte"


def test_it_is_not_named_along_with_others(
    visit: Any, post: Callable[..., Any], hidden: int, cells: list[int]
) -> None:
    answer = post(visit, f"/samples/{KEY}/label", {"cells": [cells[0], hidden], "label": "neutrophil"})
    assert (answer.status_code, f"cell {hidden}" in answer.json()["problem"]) == (409, True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_differential_says_how_many_it_leaves_out(visit: Any, hidden: int, language: str) -> None:
    page = visit.get(f"/samples/{KEY}/differential?language={language}").text
    assert texts(language)["blind.not_counted.one"].format(count=1) in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_signs_is_told_how_many_without_a_name_count_as_the_machine_says(
    visit: Any, post: Callable[..., Any], shelf: Any, hidden: int, cells: list[int], language: str
) -> None:
    change(shelf, cells[0], blind=True)
    asked, said = f"/samples/{KEY}/sign?language={language}", texts(language)
    assert said["blind.signed.many"].format(count=2) in visit.get(asked).text
    post(visit, f"/samples/{KEY}/label", {"cells": [hidden], "label": "monocyte"})
    assert said["blind.signed.one"].format(count=1) in visit.get(asked).text
    post(visit, f"/samples/{KEY}/label", {"cells": [cells[0]], "label": "neutrophil"})
    for form in ("one", "many"):
        assert said[f"blind.signed.{form}"].partition(" ")[2] not in visit.get(asked).text
