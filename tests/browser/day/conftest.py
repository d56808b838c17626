"""A laboratory's day, step by step: each fixture is what somebody does next, and tests look at what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.datasets.synthetic import draw_field

PASSWORD = "a fine smear on glass"
CLASSES = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
DRAWN = 5
PATIENCE = 120_000  # milliseconds: a laptop that trains beside it is slow
FORMATS = ("html", "pdf", "cells", "differential", "json", "fhir", "hl7")


class House:
    """`leukolens serve` as a process of its own: ended as an init system ends it, started again at its address."""

    def __init__(self, folder: Path, *options: str) -> None:
        serve = [sys.executable, "-m", "leukolens.cli.main", "serve", "--json", "--folder", str(folder)]
        self.command = [*serve, *options]
        self.log = folder.with_suffix(".log")
        self.port, self.address = 0, ""

    def start(self) -> str | None:
        """Until it answers; gives the first administrator's code where there is nobody yet."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port)], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        said = json.loads(line)
        self.address, self.port = said["address"], int(said["address"].rpartition(":")[2])
        code: str | None = said["code"]
        return code

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


@dataclass
class Lab:
    """Who works there, each in a browser of their own, and what their pages complained of."""

    house: House
    pages: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def at(self, name: str, address: str, waits_for: str = "main") -> Any:
        page = self.pages[name]
        page.goto(f"{self.house.address}{address}")
        page.wait_for_selector(waits_for)
        return page

    def sends(self, name: str, identifier: str, paths: list[Path], *, two_readers: bool = False) -> str:
        """Somebody makes a sample and sends fields; gives its address without the server's."""
        page = self.at(name, "/")
        page.fill("#identifier", identifier)
        page.set_checked("[name=two_readers]", two_readers)
        with page.expect_navigation():  # until its script listens
            page.click(".card button[type=submit]")
        page.set_input_files("#files", [str(path) for path in paths])
        page.wait_for_selector("#progress .strip")
        return str(page.url).removeprefix(self.house.address)

    def presses(self, name: str, selector: str) -> Any:
        """Somebody presses a button of the page that they are at, which leads to another."""
        page = self.pages[name]
        with page.expect_navigation():
            page.click(selector)
        page.wait_for_selector("main")
        return page


@pytest.fixture(scope="package")
def lab(
    chromium: Any, tmp_path_factory: pytest.TempPathFactory, kind: str, new_url: Callable[[str], str]
) -> Iterator[Lab]:
    """A new server whose first administrator, Ada, came in by the code, and let Rita and Rosa in."""
    database = [] if kind == "sqlite" else ["--database", new_url(kind)]
    house = House(tmp_path_factory.mktemp("house") / "server", "--blind", "0.1", *database)
    code = house.start()
    lab, contexts = Lab(house), []
    for name in ("ada", "rita", "rosa"):
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
        context.set_default_timeout(PATIENCE)
        page = lab.pages[name] = context.new_page()
        page.on("pageerror", lambda error: lab.complaints.append(str(error)))
        page.on(
            "console", lambda said: said.type in {"error", "warning"} and lab.complaints.append(said.text)
        )
        contexts.append(context)
    lab.at("ada", "/first").fill("#code", str(code))
    _enrol(lab, "ada")
    for name, role in (("rita", "reviewer"), ("rosa", "reader")):
        lab.at("ada", "/people").select_option("#role", role)
        _enrol(lab, name)
        page = lab.at(name, "/login")
        page.fill("#name", name)
        page.fill("#password", PASSWORD)
        lab.presses(name, "main button[type=submit]")
    yield lab
    for context in contexts:
        context.close()
    house.end()


def _enrol(lab: Lab, name: str) -> None:
    page = lab.pages["ada"]
    page.fill("#name", name)
    page.fill("#full_name", f"{name.title()} Example")
    for place in ("#new-password", "#again"):
        page.fill(place, PASSWORD)
    lab.presses("ada", "main .primary")


@pytest.fixture(scope="package")
def fields(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty: five drawn ones, each as it lies, on its head, and both mirrored."""
    folder, paths = tmp_path_factory.mktemp("day"), []
    for seed in range(DRAWN):
        drawn = draw_field(np.random.default_rng(300 + seed), 480, 360, CLASSES).rgb
        for turned in (drawn, drawn[::-1], drawn[:, ::-1], drawn[::-1, ::-1]):
            paths.append(folder / f"field-{len(paths) + 1}.png")
            Image.fromarray(np.ascontiguousarray(turned)).save(paths[-1])
    return paths


@dataclass
class Smear:
    """The day's sample, as far as it has come.

    Attributes:
        address: Of its page, without the server's.
        read_before: Fields that were read when the server was ended in the middle.
        said: What its page said in the end, without having been loaded again.
        chosen: Three cells that no edge cuts, of one class of the machine's.
    """

    address: str
    read_before: int
    said: str
    chosen: list[str] = field(default_factory=list)
    drawn: str = ""


@pytest.fixture(scope="package")
def smear(lab: Lab, fields: list[Path], children_of: Callable[[int, str], list[int]]) -> Smear:
    """Sent by Rosa; the server is ended in the middle of its reading, and started again."""
    address = lab.sends("rosa", "Smear of the day", fields[:1], two_readers=True)
    page = lab.pages["rosa"]
    page.wait_for_selector("#progress a.primary")
    # Twenty are read in less than the second after which the page asks: what is sent now waits.
    (reading,) = children_of(lab.house.process.pid, "reading_process")
    os.kill(reading, signal.SIGSTOP)
    page.set_input_files("#files", [str(path) for path in fields[1:]])
    page.wait_for_selector(f"#progress progress[max='{len(fields)}']")
    lab.house.end()
    os.kill(reading, signal.SIGCONT)  # and it finds its server gone, and ends
    read = page.locator("#progress progress").get_attribute("value")
    lab.house.start()
    page.wait_for_selector("#progress a.primary")
    return Smear(address, int(read), str(page.text_content("#progress [role=status]")))


@dataclass(frozen=True)
class Told:
    """What a person calls the cells: each cell's label, and the cells that an edge cuts."""

    labels: dict[str, str]
    edge: frozenset[str]

    @classmethod
    def of(cls, page: Any) -> Told:
        found = page.locator(".tile").evaluate_all(
            "tiles => tiles.map(tile => [tile.id, tile.closest('.group').dataset.label, tile.className])"
        )
        return cls(
            {cell: label for cell, label, _ in found},
            frozenset(cell for cell, _, kind in found if "edge" in kind.split()),
        )


@pytest.fixture(scope="package")
def told() -> Any:
    """Reads a gallery."""
    return Told.of


def _settled(page: Any) -> None:
    page.wait_for_selector(".tile.waits", state="detached")


def _key(page: Any, label: str) -> str:
    return str(page.get_attribute(f".give[data-label={label}]", "aria-keyshortcuts"))


def _names(page: Any, cell: str, label: str) -> None:
    page.focus(f"#{cell}")
    page.keyboard.press(_key(page, label))
    page.wait_for_selector(f".group[data-label={label}] #{cell}:not(.waits)")


def _begins(lab: Lab, name: str, address: str) -> Any:
    """Begins a reading, and names the blind cells, each as the machine turns out to call it."""
    lab.at(name, f"{address}/gallery")
    page = lab.presses(name, "form[action$='/turns/begin'] button")
    page.wait_for_selector(".tile[tabindex='0']")
    return page


def _unveils(page: Any) -> None:
    for cell in page.locator(".group[data-label=blind] .tile").evaluate_all("tiles => tiles.map(t => t.id)"):
        _names(page, cell, "neutrophil")
        page.wait_for_selector(f"#{cell}[data-machine]")
        _names(page, cell, str(page.get_attribute(f"#{cell}", "data-machine")))


def _confirms_the_rest(page: Any) -> None:
    confirm = page.locator(".group .confirm:visible")
    for place in range(confirm.count()):
        confirm.nth(place).click()
    _settled(page)


@pytest.fixture(scope="package")
def first(
    lab: Lab, smear: Smear, draws: Callable[[Any], None], drags: Callable[[Any, str, str], None]
) -> Told:
    """Rosa's reading: one cell by key, one by drag, one done and undone, one drawn, and the rest confirmed."""
    page = _begins(lab, "rosa", smear.address)
    _unveils(page)
    kinds = ".group:not([data-label=blind]):not([data-label=unsure])"
    group = page.locator(f"{kinds}:has(.tile:not(.edge):nth-child(6))").first
    smear.chosen = group.locator(".tile:not(.edge)").evaluate_all("tiles => tiles.slice(0, 3).map(t => t.id)")
    keyed, dragged, undone = smear.chosen
    _names(page, keyed, "myelocyte")
    drags(page, dragged, "blast")
    page.wait_for_selector(f".group[data-label=blast] #{dragged}:not(.waits)")
    _names(page, undone, "smudge")
    page.keyboard.press("u")
    page.wait_for_selector(f".group[data-label={group.get_attribute('data-label')}] #{undone}")
    _confirms_the_rest(page)

    lab.at("rosa", f"{smear.address}/fields/1", ".mark")
    draws(page)
    drawn = page.locator("#list button:has-text('drawn')")
    drawn.click()
    page.keyboard.press("m")
    page.wait_for_selector("#list button:has-text('drawn') .name:has-text('Monocyte')")
    smear.drawn = f"c{drawn.get_attribute('data-id')}"

    said = Told.of(lab.at("rosa", f"{smear.address}/gallery", ".tile[tabindex='0']"))
    lab.presses("rosa", "form[action$='/turns/end'] button")
    return said


@dataclass(frozen=True)
class Second:
    """Rita's reading: what she was shown before she named anything, and what she said in the end."""

    shown: Told
    by_persons: int
    machine: dict[str, str]
    said: Told


@pytest.fixture(scope="package")
def second(lab: Lab, smear: Smear, first: Told) -> Second:
    """She agrees with Rosa on the first cell and on the drawn one, and differs on the second and the third."""
    page = _begins(lab, "rita", smear.address)
    shown, by_persons = Told.of(page), page.locator(".tile[data-by=person]").count()
    machine = page.locator(".tile[data-machine]").evaluate_all(
        "all => all.map(t => [t.id, t.dataset.machine])"
    )
    _unveils(page)
    keyed, _, undone = smear.chosen
    for cell, label in ((keyed, "myelocyte"), (undone, "basophil"), (smear.drawn, "monocyte")):
        _names(page, cell, label)
    _confirms_the_rest(page)
    lab.at("rita", f"{smear.address}/gallery", ".tile[tabindex='0']")
    said = Told.of(page)
    lab.presses("rita", "form[action$='/turns/end'] button")
    return Second(shown, by_persons, dict(machine), said)


@dataclass(frozen=True)
class Settled:
    """What the page said before and after Ada settled the differences."""

    told: str
    differences: int
    in_the_way: int
    settled: int


@pytest.fixture(scope="package")
def third(lab: Lab, smear: Smear, second: Second) -> Settled:
    """The server is ended and started again; Ada settles each difference as Rosa has it."""
    lab.house.end()
    lab.house.start()
    in_the_way = (
        lab.at("rita", f"{smear.address}/sign").locator("form[action$='/sign'] .primary:disabled").count()
    )
    lab.at("ada", f"{smear.address}/sign")
    page = lab.presses("ada", "form[action$='/turns/begin'] button")
    told = str(page.text_content("section:has(.differences)"))
    rows = page.locator(".differences li").count()
    for place in range(rows):
        lab.presses("ada", f".differences li:nth-child({place + 1}) button:nth-of-type(1)")
    settled = page.locator(".differences button[aria-pressed=true]").count()
    lab.presses("ada", "form[action$='/turns/end'] button")
    return Settled(told, rows, in_the_way, settled)


@dataclass(frozen=True)
class Signed:
    """The differential as the page shows it, and the files that came down.

    Attributes:
        figures: Of each class, its letter, the count and the per cent.
        denominator: What the percentages are over.
        files: Format to the file.
    """

    figures: dict[str, tuple[str, int, float]]
    denominator: int
    files: dict[str, Path]


@pytest.fixture(scope="package")
def signed(lab: Lab, smear: Smear, third: Settled, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """Rita signs, and takes every file."""
    page = lab.at("rita", f"{smear.address}/sign")
    for unsure in page.locator("[name=accept_unsure]").all():
        unsure.check()
    lab.presses("rita", "form[action$='/sign'] .primary")
    rows = page.locator(".tally tbody tr:not(.graph)").evaluate_all(
        """rows => rows.map(row => [row.querySelector(".badge").className.split("c-")[1],
            ...[".badge", "td:nth-of-type(1)", ".value"].map(part => row.querySelector(part).textContent)])"""
    )
    folder, files = tmp_path_factory.mktemp("files"), {}
    for name in FORMATS:
        with page.expect_download() as coming:
            page.click(f"button[value={name}]")
        files[name] = folder / coming.value.suggested_filename
        coming.value.save_as(files[name])
    return Signed(
        {key: (letter, int(count), float(percent.split()[0])) for key, letter, count, percent in rows},
        int("".join(filter(str.isdigit, page.text_content(".tally h2 span")))),
        files,
    )
