"""A running server, and a real Chromium to visit it with."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.datasets.synthetic import draw_field
from leukolens.server.actor import SERVER
from leukolens.server.people import users
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NAME, PASSWORD = "reviewer", "a fine smear on glass"
ADMINISTRATOR = "administrator"
PATIENCE = 60_000  # milliseconds: a laptop that trains beside it is slow
CLASSES = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")
GRAVE = ("serious", "critical")
SIZES = {"laptop": (1280, 800), "tablet": (820, 1180)}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def flaws_of() -> Callable[[Any], list[str]]:
    """What keeps somebody from using a page: what axe finds grave in light and dark, what runs over the edge."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def flaws(page: Any) -> list[str]:
        found = []
        for scheme, options in (
            ("light", {"resultTypes": ["violations"]}),
            ("dark", {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}),
        ):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for violation in axe.run(page, options=options).response["violations"]:
                if violation["impact"] in GRAVE:
                    where = [node["target"] for node in violation["nodes"]][:4]
                    found.append(f"{scheme}: {violation['id']} at {where}")
        before = page.viewport_size
        for name, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if over > 0:
                found.append(f"{name}: {over} pixels wider than the window")
        page.set_viewport_size(before)
        return found

    return flaws


@pytest.fixture(scope="session")
def drags() -> Callable[[Any, str, str], None]:
    """Drags a cell's tile onto a class, once it stands still: what loads above it may have moved it."""

    def drag(page: Any, cell: str, label: str) -> None:
        tile, give = page.locator(f"#{cell}"), page.locator(f".give[data-label={label}]")
        tile.hover(position={"x": 40, "y": 40})
        page.mouse.down()
        tile.hover(position={"x": 60, "y": 50}, force=True)
        end = give.bounding_box()
        page.mouse.move(end["x"] + 30, end["y"] + 10, steps=5)
        page.mouse.up()

    return drag


@pytest.fixture(scope="session")
def draws() -> Callable[[Any], None]:
    """Draws a missed cell on the field that a page shows, and waits for the page that comes of it."""

    def draw(page: Any) -> None:
        page.keyboard.press("a")
        place = page.locator("#viewer").bounding_box()
        page.mouse.move(place["x"] + 300, place["y"] + 200)
        page.mouse.down()
        page.mouse.move(place["x"] + 380, place["y"] + 280, steps=4)
        with page.expect_navigation():
            page.mouse.up()
        page.wait_for_selector(".mark")

    return draw


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that reads with the bundle that ships, and has one reviewer."""
    import uvicorn

    from leukolens.server.web.app import create_app

    settings = Settings(tmp_path_factory.mktemp("server"), port=0)
    running = uvicorn.Server(
        uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="warning", lifespan="on")
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.05)
    database = Database(settings.url)
    with database.writing() as session:
        users.create(session, SERVER, NAME, "Rita Reviewer", "reviewer", PASSWORD)
        users.create(session, SERVER, ADMINISTRATOR, "Ada Administrator", "administrator", PASSWORD)
    database.close()
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(timeout=60)


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    """What the pages' consoles complain of: errors in scripts, and what the content security policy blocked."""
    return []


@pytest.fixture(scope="module")
def signed_in(chromium: Any, server: str) -> Iterator[Any]:
    """A browser in which the reviewer is signed in."""
    context = entered(chromium, server, NAME)
    yield context
    context.close()


@pytest.fixture(scope="module")
def administrator(chromium: Any, server: str) -> Iterator[Any]:
    """A browser in which the administrator is."""
    context = entered(chromium, server, ADMINISTRATOR)
    yield context
    context.close()


def entered(chromium: Any, server: str, name: str) -> Any:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, base_url=server, locale="en-GB")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto("/login")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("#identifier")
    page.close()
    return context


@pytest.fixture
def page(signed_in: Any, complaints: list[str]) -> Iterator[Any]:
    page = signed_in.new_page()
    page.on("console", lambda said: said.type in {"error", "warning"} and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()


@pytest.fixture(scope="module")
def drawn_fields(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("fields")
    rng = np.random.default_rng(5)
    paths = []
    for place in range(4):
        path = folder / f"field-{place}.png"
        Image.fromarray(draw_field(rng, 800, 600, CLASSES).rgb).save(path)
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def make_sample(signed_in: Any) -> Callable[[str, list[Path]], str]:
    """Makes a sample, sends fields and waits until they are read; gives its address."""

    def make(identifier: str, fields: list[Path]) -> str:
        page = signed_in.new_page()
        page.goto("/")
        page.fill("#identifier", identifier)
        with page.expect_navigation():  # until its script listens
            page.click(".card button[type=submit]")
        page.set_input_files("#files", [str(path) for path in fields])
        page.wait_for_selector("#progress a.primary")  # without reloading
        address = str(page.url)
        page.close()
        return address

    return make
