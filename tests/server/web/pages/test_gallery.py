"""The gallery: where each cell stands and what its tile says, the differential beside it, and one cell's large view."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from leukolens.server.store.tables import Cell
from leukolens.server.web import rendering
from leukolens.server.web.text import LANGUAGES, texts
from leukolens.taxonomy import ALL_CLASSES

KEY, OTHER = "SAMPLE22", "ANQTHER2"


@pytest.fixture
def cells(shelf: Any) -> list[int]:
    """A neutrophil, a lymphocyte, one that the machine is unsure of, an eosinophil at the edge, and no leukocyte."""
    made: list[int] = shelf.add(KEY, "Jane Doe")
    return made


@pytest.fixture
def visit(browser: Any, cells: list[int]) -> Any:
    return browser().sign_in("reader")


@pytest.fixture
def look(visit: Any, parsed: Any) -> Callable[..., Any]:
    """The gallery, taken apart."""

    def look(key: str = KEY, by: Any = visit) -> Any:
        answer = by.get(f"/samples/{key}/gallery")
        assert answer.status_code == 200
        return parsed(answer)

    return look


def groups(page: Any) -> dict[str, list[int]]:
    """The cells of each group that is shown, in order."""
    found: dict[str, list[int]] = {}
    for tag, made in page.tags:
        if tag == "section" and made.get("class") == "group":
            found[made["data-label"]] = []
            assert made["data-label"] not in list(found)[:-1]
        elif made.get("role") == "option":
            found[list(found)[-1]].append(int(made["id"][1:]))
    return {label: ids for label, ids in found.items() if ids}


def tile(page: Any, cell: int) -> dict[str, str]:
    (found,) = page.all("div", id=f"c{cell}")
    return dict(found)


class TestGroups:
    def test_cells_stand_by_what_the_machine_says_the_unsure_first_and_no_white_cells_last(
        self, look: Any, cells: list[int]
    ) -> None:
        page = look()
        assert list(groups(page).items()) == [
            ("unsure", [cells[2]]), ("neutrophil", [cells[0]]), ("eosinophil", [cells[3]]),
            ("lymphocyte", [cells[1]]), ("other", [cells[4]]),
        ]  # fmt: skip
        empty = [made["data-label"] for made in page.all("section", class_="group") if "hidden" in made]
        assert len(empty) == len(ALL_CLASSES) + 1 - 5

    def test_what_a_person_says_moves_a_cell_and_the_least_certain_comes_first(
        self, visit: Any, look: Any, cells: list[int], post: Any
    ) -> None:
        post(visit, f"/samples/{KEY}/label", {"cells": cells[1:3], "label": "neutrophil"})
        post(visit, f"/samples/{KEY}/strike", {"cells": [cells[4]]})
        assert groups(look()) == {"neutrophil": [cells[1], cells[2], cells[0]], "eosinophil": [cells[3]]}

    def test_the_palette_has_every_class_once_with_its_number(self, look: Any) -> None:
        page = look()
        kinds = [made["data-label"] for made in page.all("button") if "give" in made.get("class", "")]
        assert len(kinds) == len(set(kinds)) == len(ALL_CLASSES) + 1
        keys = [made["aria-keyshortcuts"] for made in page.all("button") if "data-label" in made]
        assert len(keys) == len(set(keys))
        assert [kind["key"] for kind in page.data["kinds"]] == [*kinds, "blind"]
        assert page.data["words"]["locked"] == texts("en")["script.locked"]

    def test_a_sample_without_a_cell_says_so_and_one_that_is_still_read_too(
        self, look: Any, shelf: Any, picture: Any
    ) -> None:
        shelf.add(OTHER, "John Roe", cells=False)
        assert "No white cell here yet." in look(OTHER).said
        shelf.field(OTHER, picture("PNG", seed=3), "waiting")
        assert "1 field is still being read." in look(OTHER).said
        assert "still being read" not in " ".join(look().said)


class TestTiles:
    def test_one_says_what_the_machine_thinks_how_sure_it_is_and_why_not(
        self, look: Any, cells: list[int]
    ) -> None:
        page = look()
        sure, unsure, cut = (tile(page, cells[at]) for at in (0, 2, 3))
        assert sure["aria-label"] == "Neutrophil, machine 97 per cent, field 1"
        assert (sure["data-machine"], "title" in sure, "data-by" in sure) == ("neutrophil", False, False)
        assert unsure["aria-label"] == "Unsure, machine 60 per cent, field 1"
        assert unsure["title"] == "monocyte, because"
        assert (sure["class"], cut["class"]) == ("tile", "tile edge")

    @pytest.mark.parametrize(("label", "name"), [("band", "Band neutrophil"), ("blast", "Blast")])
    def test_one_that_a_person_named_still_says_how_sure_the_machine_was_of_its_own_answer(
        self, visit: Any, look: Any, cells: list[int], post: Any, label: str, name: str
    ) -> None:
        post(visit, f"/samples/{KEY}/label", {"cells": cells[:1], "label": label})
        page = look()
        found = tile(page, cells[0])
        assert found["aria-label"] == f"{name}, by a person; machine Neutrophil 97 per cent, field 1"
        assert found["data-by"] == "person"
        assert page.said.count("97") == 1

    def test_one_that_a_person_drew_has_no_machines_answer(self, visit: Any, look: Any, post: Any) -> None:
        drawn = post(visit, f"/samples/{KEY}/draw", {"place": 1, "box": [200, 100, 240, 140]})
        found = tile(look(), drawn.json()["changed"][0]["id"])
        assert found["aria-label"] == "Unsure, field 1"
        assert "data-machine" not in found

    def test_certain_ones_of_a_class_show_what_it_looks_like_those_at_the_edge_do_not(
        self, look: Any, cells: list[int]
    ) -> None:
        shown = [made["src"] for made in look().all("img", width="36")]
        assert shown == [f"/cells/{cells[0]}/crop.jpg"]


class TestDifferential:
    def test_it_counts_leukocytes_alone_and_stands_beside_the_machines(self, look: Any) -> None:
        said = look().said
        assert "over 2 cells" in said
        assert said.count("50.0\u202f%") == 4  # two classes, reviewed and by the machine
        at = said.index("Cut by the edge")
        assert said[at - 2 : at + 4] == ["Unsure", "1", "Cut by the edge", "1", "No leukocyte", "1"]
        assert any("4.00" in one for one in said)  # of 8.0 per litre, times 10^9

    def test_the_part_that_a_script_asks_for_follows_each_act(
        self, visit: Any, cells: list[int], post: Any, parsed: Any
    ) -> None:
        post(visit, f"/samples/{KEY}/label", {"cells": [cells[2]], "label": "blast"})
        answer = visit.get(f"/samples/{KEY}/differential", headers={"Accept": "*/*"})
        assert answer.status_code == 200
        assert "<html" not in answer.text
        said = parsed(answer).said
        assert "over 3 cells" in said
        at = said.index("Blast")
        assert said[at + 1 : at + 4] == ["1", "33.3\u202f%", "–"]
        assert any(one.startswith("Blasts present") for one in said)

    def test_a_second_reader_is_shown_none_of_the_firsts_answers(
        self, visit: Any, look: Any, browser: Any, shelf: Any, post: Any
    ) -> None:
        ids = shelf.add(OTHER, "John Roe", two_readers=True)
        visit.send_own(f"/samples/{OTHER}/turns/begin", turn=1)
        post(visit, f"/samples/{OTHER}/label", {"cells": ids[:3], "label": "blast"})
        second = browser().sign_in("reviewer")
        for _ in range(2):
            page = look(OTHER, second)
            assert groups(page)["neutrophil"] == [ids[0]]
            assert not [made for made in page.all("div") if made.get("data-by")]
            assert "over 2 cells" in second.get(f"/samples/{OTHER}/differential").text
            second.send_own(f"/samples/{OTHER}/turns/begin", turn=2)
        assert groups(look(OTHER))["blast"] == ids[:3]


class TestLocks:
    def test_a_signed_sample_offers_no_act(self, visit: Any, look: Any, browser: Any) -> None:
        assert look().all("div", id="gallery")[0]["data-locked"] == "no"
        assert look().all("button", data_verb="undo")
        browser().sign_in("reviewer").send_own(f"/samples/{KEY}/sign", accept_unsure="yes")
        page = look()
        assert page.all("div", id="gallery")[0]["data-locked"] == "yes"
        assert not page.all("button", data_verb="undo")
        assert not page.all("button", class_="confirm")
        assert any(one.startswith("This sample is signed") for one in page.said)

    def test_of_two_readers_one_has_to_begin_and_can_end(self, visit: Any, look: Any, shelf: Any) -> None:
        shelf.add(OTHER, "John Roe", two_readers=True)
        for verb, locked in (("begin", "yes"), ("end", "no")):
            page = look(OTHER)
            assert page.all("div", id="gallery")[0]["data-locked"] == locked
            assert page.all("form", action=f"/samples/{OTHER}/turns/{verb}")
            answer = visit.send_own(f"/samples/{OTHER}/turns/{verb}", turn=1)
            assert answer.status_code == 303
        assert not look(OTHER).all("form", action=f"/samples/{OTHER}/turns/begin")


class TestOneCell:
    def test_it_is_told_as_json(self, visit: Any, cells: list[int]) -> None:
        found = visit.get(f"/samples/{KEY}/cells/{cells[2]}").json()
        chances = found.pop("probabilities")
        assert max(chances, key=chances.get) == "monocyte"
        assert found == {
            "id": cells[2], "place": 1, "box": [130, 40, 170, 80], "image": f"/samples/{KEY}/fields/1/image",
            "crop": f"/cells/{cells[2]}/crop.jpg", "machine_class": "monocyte", "reason": "monocyte, because",
            "distance": 1.5, "class_set": ["monocyte"], "at_edge": False, "blind": False,
        }  # fmt: skip

    def test_a_struck_one_or_anothers_is_not_found(self, visit: Any, shelf: Any, cells: list[int]) -> None:
        alien = shelf.add(OTHER, "John Roe")[0]
        with shelf.database.writing() as session:
            session.execute(update(Cell).where(Cell.id == cells[0]).values(deleted=True))
        for cell in (alien, cells[0], 999_999):
            assert visit.get(f"/samples/{KEY}/cells/{cell}").status_code == 404


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_that_a_script_says_is_there(language: str) -> None:
    known = {key.removesuffix(".one") for key in texts(language)}
    scripts = "".join(path.read_text("utf-8") for path in Path(rendering.STATIC).glob("*.js"))
    said = set(re.findall(r'\bsay\("([a-z_]+)"', scripts))
    assert len(said) > 12
    assert {key for key in said if f"script.{key}" not in known} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_help_names_keys_as_they_stand_on_that_languages_keyboard(visit: Any, language: str) -> None:
    answer = visit.get(f"/samples/{KEY}/gallery", headers={"Accept-Language": language})
    caps = {
        key.removeprefix("caps."): words for key, words in texts(language).items() if key.startswith("caps.")
    }
    shown = set(re.findall(r"<kbd>(.*?)</kbd>", answer.text))
    assert {
        caps["space"],
        caps["enter"],
        caps["delete"],
        f"{caps['shift']} + ←",
        f"{caps['control']} + A",
    } <= shown
    assert (caps["space"] == "Space") == (language == "en")
