import re
from dataclasses import replace

import pytest
from PIL import Image

from leukolens.evaluation.unseen_answers import FIVE_CLASSES
from leukolens.evaluation.unseen_document import Rotated, document, to_json
from leukolens.evaluation.unseen_labs import lab_figures
from leukolens.evaluation.unseen_notes import unseen_notes
from leukolens.evaluation.unseen_page import unseen_page


@pytest.fixture(scope="module")
def rotated(asked):
    def both(*arguments, **more):
        return [
            lab_figures([asked(*arguments, seed, method=method, **more) for seed in (0, 1)])
            for method in ("default", "mixed <b>")
        ]

    figures = [
        *both("raabin"),
        *both("tecom", photographs=(20, 10, 1, 12, 8)),
        *both("pbc", known=FIVE_CLASSES, photographs=(9,) * 7),
    ]
    return Rotated(
        "leukolens evaluate default 'a & b.toml'", None, ("default", "mixed <b>"), ("raabin", "tecom", "pbc"),
        tuple(figures), looks=12,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shown(rotated, tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    first = rotated.figures[0].mistakes[0]
    path = root / "raabin-500" / first.image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), "pink").save(path)
    return unseen_page(rotated, root)


def _numbers(part):
    """Every value and every interval in a document."""
    if isinstance(part, dict):
        if {"value", "low", "high"} <= part.keys():
            yield part["value"], part["low"], part["high"]
            yield from ((value, None, None) for value in part.get("seeds", []))
        else:
            for inner in part.values():
                yield from _numbers(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _numbers(inner)


def test_the_page_holds_every_figure_of_the_json(rotated, shown):
    values = {float(value) for value in re.findall(r'<data value="([^"]+)"', shown)}
    ends = {
        (float(low), float(high))
        for low, high in re.findall(r'data-low="([^"]+)" data-high="([^"]+)"', shown)
    }
    numbers = list(_numbers(document(rotated)))
    assert len(numbers) > 150
    for value, low, high in numbers:
        assert value is None or value in values
        assert low is None or (low, high) in ends


def test_every_method_stands_beside_the_first_with_what_it_gains(rotated, shown):
    for lab in document(rotated)["labs"]:
        first, second = lab["recipes"]
        assert first["compared_with"] is None
        assert second["compared_with"] == "default"
        gained = second["accuracy"]["value"] - first["accuracy"]["value"]
        assert second["accuracy_gained"]["value"] == pytest.approx(gained)
    assert shown.count("against default") == 2 * 3


def test_a_class_of_few_groups_says_so(shown):
    assert "fewer than 9 groups" in shown


def test_what_is_not_scored_is_shown(rotated, shown):
    pbc = document(rotated)["labs"][2]["recipes"][0]
    assert [line["class"] for line in pbc["shown_only"]] == ["immature_granulocyte", "other"]
    assert "Not scored, but shown" in shown


def test_mistakes_are_pictures_and_missing_ones_are_said_to_be(rotated, shown):
    there = rotated.figures[0].mistakes[0].image
    cards = [mistake.image for own in rotated.figures[:2] for mistake in own.mistakes[:8]]
    assert shown.count("data:image/jpeg;base64,") == cards.count(there) > 0
    assert "cannot be read" in shown


def test_nothing_comes_from_outside_and_all_text_is_escaped(shown):
    assert not re.search(r"<script|<link|@import|url\((?!#)|src=\"http", shown)
    assert "mixed &lt;b&gt;" in shown
    assert "mixed <b>" not in shown
    assert "leukolens evaluate default &#x27;a &amp; b.toml&#x27;" in shown


def test_a_recipe_that_lacks_a_lab_has_a_dash_there(rotated, tmp_path):
    fewer = replace(rotated, figures=rotated.figures[:3], labs=("raabin", "tecom"))
    text = unseen_page(fewer, tmp_path)
    assert "<td>–</td>" in text
    assert len(document(fewer)["labs"][1]["recipes"]) == 1


def test_equal_experiments_give_equal_documents(rotated):
    assert to_json(rotated) == to_json(rotated)
    assert "NaN" not in to_json(rotated)


def test_an_outer_page_counts_the_looks_and_an_inner_one_says_that_there_were_none(rotated, asked):
    assert "12 looks" in unseen_notes(rotated)[0].text
    assert unseen_notes(rotated)[0].warning
    inner = replace(
        rotated,
        outer="pbc",
        figures=(lab_figures([asked("raabin", outer="pbc")]),),
        labs=("raabin",),
        methods=("default",),
    )
    words = unseen_notes(inner)[0].text
    assert "Nothing of pbc was touched" in words
    assert "the ledger holds no look for them" in words


def test_images_without_a_cell_and_images_that_cannot_be_read_are_counted(rotated, asked):
    one = asked("raabin")
    torn = replace(
        one, answers=replace(one.answers, failed=(f"{one.answers.predictions.images[0]}: is torn",))
    )
    figures = lab_figures([torn])
    words = " ".join(note.text for note in unseen_notes(replace(rotated, figures=(figures,))))
    assert f"raabin {figures.lost:.0f} of {figures.images}" in words
    assert "1 images of raabin could not be read" in words
