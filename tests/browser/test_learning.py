"""The learning loop as people go through it: cells confirmed, a set, a bundle of their own, and back again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.datasets.synthetic import draw_field

CLASSES = ("neutrophil", "eosinophil", "lymphocyte")
FIELDS = 5


@pytest.fixture(scope="module")
def many_fields(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Fields of three white cells each."""
    folder = tmp_path_factory.mktemp("many-fields")
    paths = []
    for seed in range(FIELDS):
        path = folder / f"field-{seed}.png"
        Image.fromarray(draw_field(np.random.default_rng(200 + seed), 400, 300, CLASSES).rgb).save(path)
        paths.append(path)
    return paths


def test_confirmed_cells_become_a_bundle_that_an_administrator_takes_up_and_puts_back(
    page: Any,
    administrator: Any,
    make_sample: Callable[[str, list[Path]], str],
    many_fields: list[Path],
    complaints: list[str],
    flaws_of: Callable[[Any], list[str]],
) -> None:
    old = make_sample("Smear to learn from", many_fields)
    page.goto(f"{old}/gallery")
    page.wait_for_selector(".tile[tabindex='0']")
    confirm = page.locator(".group .confirm:visible")
    assert confirm.count() >= 2
    for place in range(confirm.count()):
        confirm.nth(place).click()
        page.wait_for_selector(".tile.waits", state="detached")
    page.click("nav.places a[href='/learning']")
    page.click("#make-set")
    page.click("#set-1 button")
    page.wait_for_selector("#adaptation-1[data-state=done]")  # without reloading
    assert page.locator("#adaptation-1 tbody tr").count() >= 4
    assert page.locator("#bundles tbody tr").count() == 2
    assert page.locator("#bundles form").count() == 0  # a reviewer's page
    assert flaws_of(page) == []

    door = administrator.new_page()
    door.goto("/learning")
    name = door.locator("#bundles tr:has(form) th").text_content().split()[0]
    assert flaws_of(door) == []
    with door.expect_navigation():
        door.click("#bundles form button")
    assert name in door.locator("#bundles tr:has(.chip.good) th").text_content()
    new = make_sample("Smear of the new bundle", many_fields[:1])
    page.goto(new)
    assert name in page.text_content("aside")
    page.goto(old)
    assert name not in page.text_content("aside")
    with door.expect_navigation():
        door.click("#bundles button:has-text('Go back')")
    assert name not in door.locator("#bundles tr:has(.chip.good) th").text_content()
    door.close()
    assert complaints == []
