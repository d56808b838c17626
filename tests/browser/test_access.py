"""What everybody must be able to use: axe finds nothing grave, keys are enough, nothing runs over the edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Flaws = Callable[[Any], list[str]]


@pytest.fixture(scope="module")
def sample(make_sample: Callable[[str, list[Path]], str], drawn_fields: list[Path]) -> str:
    """A sample whose first field is a TIFF that lies on its side."""
    sideways = drawn_fields[0].with_suffix(".tif")
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(drawn_fields[0]) as drawn:
        drawn.rotate(90, expand=True).save(sideways, exif=exif)
    return make_sample("Smear for everybody", [sideways, drawn_fields[1]])


@pytest.fixture
def anybody(chromium: Any, server: str) -> Iterator[Any]:
    """A page of a browser in which nobody is signed in."""
    context = chromium.new_context(base_url=server, locale="en-GB")
    page = context.new_page()
    yield page
    context.close()


def test_the_door_is_open_to_everybody(flaws_of: Flaws, anybody: Any) -> None:
    anybody.goto("/login")
    assert flaws_of(anybody) == []


@pytest.mark.parametrize("part", ["", "/gallery", "/fields/1", "/sign"])
def test_a_samples_pages_are(flaws_of: Flaws, page: Any, sample: str, part: str) -> None:
    page.goto(sample + part)
    page.wait_for_load_state("networkidle")
    assert flaws_of(page) == []


@pytest.mark.parametrize("address", ["/", "/account"])
def test_the_other_pages_are(flaws_of: Flaws, page: Any, sample: str, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert flaws_of(page) == []


def test_the_pages_of_an_administrator_are(flaws_of: Flaws, administrator: Any) -> None:
    page = administrator.new_page()
    for address in ("/people", "/people/1", "/learning"):
        assert page.goto(address).ok
        assert flaws_of(page) == [], address
    page.close()


def test_one_cell_large_is_and_shows_where_the_network_looked(
    flaws_of: Flaws, page: Any, sample: str
) -> None:
    page.goto(f"{sample}/gallery")
    page.wait_for_selector(".tile[tabindex='0']")
    page.focus(".tile[data-machine]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#large-bars meter")
    page.wait_for_function("!document.querySelector('#large-why').disabled")
    plain = page.evaluate("document.querySelector('#large canvas').toDataURL()")
    page.keyboard.press("w")
    page.wait_for_selector("#large-legend:not(:empty)")
    assert "Orange spoke for" in page.text_content("#large-legend")
    assert page.evaluate("document.querySelector('#large canvas').toDataURL()") != plain
    assert flaws_of(page) == []
    page.keyboard.press("ArrowRight")  # the next cell's is shown by itself
    page.wait_for_selector("#large-legend:not(:empty)")
    assert page.get_attribute("#large-why", "aria-pressed") == "true"
    page.keyboard.press("w")
    assert page.text_content("#large-legend") == ""
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    page.wait_for_selector("#help[open]")
    assert flaws_of(page) == []


def test_a_field_that_browsers_do_not_show_is_shown_upright_with_its_boxes(page: Any, sample: str) -> None:
    page.goto(f"{sample}/fields/1")
    page.wait_for_selector(".mark")
    picture = page.evaluate(
        """async () => {
            const image = new Image();
            image.src = location.pathname + "/image";
            await image.decode();
            return [image.naturalWidth, image.naturalHeight];
        }"""
    )
    assert picture == [800, 600]
    assert page.locator(".mark").count() == page.locator("#list button[data-id]").count() > 0


def test_a_sample_is_deleted_from_its_page_by_keys_alone(
    page: Any, make_sample: Callable[[str, list[Path]], str], drawn_fields: list[Path]
) -> None:
    address = make_sample("Smear to be deleted", drawn_fields[3:])
    page.goto(address)
    page.focus(".deleting summary")
    for pressed in ("Enter", "Tab"):
        page.keyboard.press(pressed)
    page.keyboard.type("kept long enough")
    page.keyboard.press("Tab")
    page.keyboard.type(address.rsplit("/", 1)[1].lower())
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "Smear to be deleted" not in page.text_content("#samples")
    assert page.goto(address).status == 404
