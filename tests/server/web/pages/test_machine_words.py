"""German pages say in German why a cell is unsure and what to look at in a differential; programs stay English."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from leukolens.card import Judgement
from leukolens.reading.trust import decide
from leukolens.server.store.tables import Cell

KEY = "SAMPLE22"
JSON = {"Accept": "application/json"}
REASON = "monocyte at 60.0 %, under the 80.0 % that is needed; next is immature granulocyte at 30.0 %"
GRUND = "Monozyt mit 60.0 %, weniger als die nötigen 80.0 %; an zweiter Stelle unreifer Granulozyt mit 30.0 %"
FLAG = "Blasts present, to review: 1 cell that a person named so, 33.3 %, and the range (adult) is none (relative;"
HINWEIS = (
    "Blasten vorhanden, zu prüfen: 1 Zelle, von einer Person so benannt, 33.3 %, der Referenzbereich (Erwachsene) "
    "sieht keine vor (relativ;"
)
FEW = "Only 3 leukocytes were named: under 100, percentages are too uncertain to report; count more fields."
WENIGE = "Nur 3 Leukozyten sind benannt: unter 100 sind Prozentwerte zu unsicher für einen Befund; mehr Felder zählen."


@pytest.fixture
def cells(shelf: Any) -> list[int]:
    """The third is one that the machine is unsure of, for the reason that it would have."""
    made: list[int] = shelf.add(KEY, "Jane Doe")
    probabilities = {"monocyte": 0.6, "immature_granulocyte": 0.3, "other": 0.1}
    _, reason = decide(probabilities, Judgement(accept_above=0.8))
    assert reason == REASON
    with shelf.database.writing() as session:
        session.execute(update(Cell).where(Cell.id == made[2]).values(reason=reason))
    return made


@pytest.fixture
def visit(browser: Any, cells: list[int]) -> Any:
    """A German browser."""
    visit = browser().sign_in("reviewer")
    visit.headers["Accept-Language"] = "de-DE,en;q=0.5"
    return visit


def title(page: Any, cell: int) -> str:
    (found,) = page.all("div", id=f"c{cell}")
    return str(found["title"])


def test_the_gallery_and_the_large_view_say_why_a_cell_is_unsure(
    visit: Any, parsed: Any, cells: list[int]
) -> None:
    gallery, one = f"/samples/{KEY}/gallery", f"/samples/{KEY}/cells/{cells[2]}"
    page = visit.get(gallery)
    assert title(parsed(page), cells[2]) == GRUND
    assert REASON not in page.text
    assert visit.get(one, headers=JSON).json()["reason"] == GRUND
    visit.cookies.set("language", "en")
    assert title(parsed(visit.get(gallery)), cells[2]) == REASON
    assert visit.get(one, headers=JSON).json()["reason"] == REASON


def test_wherever_the_differential_stands_it_says_what_to_look_at(
    visit: Any, parsed: Any, cells: list[int], post: Any
) -> None:
    assert post(visit, f"/samples/{KEY}/label", {"cells": [cells[2]], "label": "blast"}).status_code == 200
    for place in ("gallery", "differential", "sign"):
        page = parsed(visit.get(f"/samples/{KEY}/{place}"))
        assert [one for one in page.said if one.startswith(HINWEIS)], place
        assert WENIGE in page.said
        assert not [one for one in page.said if "to review" in one or "were named" in one]
    visit.cookies.set("language", "en")
    page = parsed(visit.get(f"/samples/{KEY}/differential"))
    assert [one for one in page.said if one.startswith(FLAG)]
    assert FEW in page.said


def test_programs_are_told_in_english(visit: Any, cells: list[int], post: Any) -> None:
    cell = visit.get(f"/api/v1/samples/{KEY}/cells/{cells[2]}", headers=JSON).json()
    assert cell["machine"]["reason"] == REASON
    post(visit, f"/samples/{KEY}/label", {"cells": [cells[2]], "label": "blast"})
    counted = visit.get(f"/api/v1/samples/{KEY}/differential", headers=JSON).json()
    assert counted["flags"][0]["message"].startswith(FLAG)
    assert counted["reviewed"]["warnings"] == [FEW]
