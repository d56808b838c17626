"""The review page at work: 100,000 cells, 20 reviewers who name a cell a second, a gallery of 2,000 cells in Chromium.

Run with `python benchmarks/review.py [--cells N] [--seconds S] [--database URL] [--json]`. Fills a new server's
database with drawn samples, read over half a year and mostly named, starts `leukolens serve` as a process of its own,
and asks it over the network of this machine. Times are those of the clients, which share the machine's processors with
the server. Without Chromium the gallery is left out.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
from PIL import Image as Picture
from sqlalchemy import insert

from leukolens.datasets.synthetic import draw_field
from leukolens.server.actor import SERVER
from leukolens.server.intake import bundles
from leukolens.server.intake.samples import KEY_LENGTH, KEY_LETTERS
from leukolens.server.people import users
from leukolens.server.settings import Settings
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.migrate import migrate
from leukolens.server.store.tables import (
    Answer,
    BlindAnswer,
    Cell,
    Crop,
    Field,
    Identity,
    Image,
    Sample,
)
from leukolens.taxonomy import CLASS_KEYS

REVIEWERS, A_SAMPLE, IN_GALLERY, A_FIELD = 20, 200, 2000, 20
DAYS, NAMED, BLIND = 180, 0.9, 0.05
PASSWORD = "a fine smear on glass"
ROUNDS = 25
KEYS = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte")


def fill(settings: Settings, cells: int) -> list[str]:
    """Makes the database; gives the samples' keys, the one with 2,000 cells first."""
    database, files = Database(settings.url), Files(settings.folder)
    migrate(database, settings.folder)
    rng = np.random.default_rng(0)
    Picture.fromarray(draw_field(rng, 640, 480, KEYS).rgb).save(field := BytesIO(), "JPEG")
    Picture.fromarray(draw_field(rng, 320, 240, KEYS[:1]).rgb).resize((84, 84)).save(
        crop := BytesIO(), "JPEG"
    )
    keys, images = [], []
    with database.writing() as session:
        bundle = bundles.ensure_active(session, files, settings).sha256
        for number in range(IN_GALLERY // A_FIELD):
            content = field.getvalue() + bytes(number)  # each field of a sample has an image of its own
            kept = files.put(BytesIO(content), len(content))
            session.add(Image(sha256=kept.sha256, bytes=kept.bytes))
            images.append(kept.sha256)
        named_by = [
            users.create(session, SERVER, f"reviewer{number}", f"Reviewer {number}", "reviewer", PASSWORD).id
            for number in range(REVIEWERS)
        ]
    sizes = [IN_GALLERY, *[A_SAMPLE] * max(REVIEWERS, (cells - IN_GALLERY) // A_SAMPLE)]
    for number, size in enumerate(sizes):
        with database.writing() as session:
            sample = Sample(key=_key(number), bundle_sha256=bundle)
            session.add(sample)
            session.flush()
            session.add(Identity(sample_id=sample.id, identifier=f"S-{number}"))
            read_at = now() - timedelta(days=DAYS * number / len(sizes))
            rows = [
                Field(
                    sample_id=sample.id, image_sha256=image, place=place, state="ok", width=640, height=480,
                    bundle_sha256=bundle, engine="none", red_cells=100 * A_FIELD, platelets=10, read_at=read_at,
                )
                for place, image in enumerate(images[: size // A_FIELD], 1)
            ]  # fmt: skip
            session.add_all(rows)
            session.flush()
            made = [_cell(rng, sample.id, row.id) for row in rows for _ in range(A_FIELD)]
            session.add_all(made)
            session.flush()
            session.execute(insert(Crop), [{"cell_id": cell.id, "jpeg": crop.getvalue()} for cell in made])
            said = [
                {"cell_id": cell.id, "turn": 1, "label": cell.machine_class, "user_id": named_by[number % REVIEWERS]}
                for cell in made
                if rng.random() < NAMED or cell.blind
            ]  # fmt: skip
            blind = {cell.id for cell in made if cell.blind}
            session.execute(insert(Answer), said)
            session.execute(insert(BlindAnswer), [answer for answer in said if answer["cell_id"] in blind])
            keys.append(sample.key)
    database.close()
    return keys


def _key(number: int) -> str:
    """A sample's key, in its letters."""
    letters = []
    for _ in range(KEY_LENGTH):
        number, place = divmod(number, len(KEY_LETTERS))
        letters.append(KEY_LETTERS[place])
    return "".join(letters)


def _cell(rng: np.random.Generator, sample: int, field: int) -> Cell:
    named, best = KEYS[int(rng.integers(len(KEYS)))], float(rng.uniform(0.5, 1))
    rest = (1 - best) / (len(CLASS_KEYS) - 1)
    x, y = int(rng.integers(0, 600)), int(rng.integers(0, 440))
    return Cell(
        sample_id=sample, field_id=field, x0=x, y0=y, x1=x + 40, y1=y + 40, machine_class=named, score=0.9,
        probability=best, probabilities={key: best if key == named else rest for key in CLASS_KEYS},
        decision="accept" if best > 0.7 else "review", reason="drawn", distance=float(rng.uniform(3, 9)),
        blind=bool(rng.random() < BLIND),
    )  # fmt: skip


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """A server's address, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "leukolens.cli.main", "serve", "--port", str(port), "--folder"]
    command += [str(settings.folder), *(["--database", settings.database] if settings.database else [])]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                try:
                    httpx.get(f"{address}/login")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield address
        finally:
            process.terminate()


def entered(address: str, name: str) -> httpx.Client:
    """A client that is signed in, with the token that its changes need."""
    client = httpx.Client(base_url=address, follow_redirects=True, timeout=60)
    page = client.get("/login").text
    token = re.search(r'name="csrf[^"]*" value="([^"]+)"', page)
    data = {"name": name, "password": PASSWORD, "next": "/"} | ({"csrf": token[1]} if token else {})
    page = client.post("/login", data=data).text
    found = re.search(r'<meta name="csrf[^"]*" content="([^"]+)"', page)
    if not found:
        raise SystemExit(f"{name} could not sign in")
    client.headers["X-CSRF-Token"] = found[1]
    return client


def naming(clients: list[httpx.Client], keys: list[str], seconds: float) -> list[float]:
    """Every reviewer names a cell a second of a sample of their own; how long each answer took, milliseconds."""
    taken: list[float] = []

    def work(client: httpx.Client, key: str, number: int) -> None:
        cells = [
            int(found) for found in re.findall(r'id="c(\d+)"', client.get(f"/samples/{key}/gallery").text)
        ]
        ready.wait()
        time.sleep(number / len(clients))
        for turn in range(round(seconds)):
            body = {"cells": [cells[turn % len(cells)]], "label": KEYS[turn % len(KEYS)]}
            began = time.perf_counter()
            client.post(f"/samples/{key}/label", json=body).raise_for_status()
            spent = time.perf_counter() - began
            taken.append(1000 * spent)
            time.sleep(max(0.0, 1 - spent))

    ready = threading.Barrier(len(clients))
    threads = [
        threading.Thread(target=work, args=(client, key, number))
        for number, (client, key) in enumerate(zip(clients, keys, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def turning(client: httpx.Client, keys: list[str]) -> dict[str, float]:
    """95th percentile of every page's time, milliseconds; the samples are drawn from all of them."""
    rng = np.random.default_rng(1)
    pages = {
        "samples": "/", "found": "/?words=S-7", "sample": "/samples/{}", "gallery": "/samples/{}/gallery",
        "differential": "/samples/{}/differential", "field": "/samples/{}/fields/1", "sign": "/samples/{}/sign",
        "quality": "/quality",
    }  # fmt: skip
    slowest = {}
    for name, address in pages.items():
        taken = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            client.get(address.format(keys[int(rng.integers(1, len(keys)))])).raise_for_status()
            taken.append(1000 * (time.perf_counter() - began))
        slowest[name] = round(float(np.percentile(taken, 95)), 1)
    return slowest


def gallery_seconds(address: str, key: str) -> float | None:
    """From asking for the gallery to a cell that was chosen by a click, the median of three; None without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=address)
        page.goto("/login")
        page.fill("#name", "reviewer0")
        page.fill("#password", PASSWORD)
        page.click("main button[type=submit]")
        page.wait_for_selector("#identifier")
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            page.goto(f"/samples/{key}/gallery", wait_until="commit")
            while True:  # until the page's script listens
                page.click(".tile >> nth=3")
                if page.query_selector(".tile[aria-selected=true]"):
                    break
            taken.append(time.perf_counter() - began)
        browser.close()
    return round(statistics.median(taken), 2)


def main() -> None:
    """Measures and prints, as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--database", help="SQLAlchemy URL of an empty database; SQLite if absent")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), database=asked.database)
        keys = fill(settings, asked.cells)
        with serving(settings) as address:
            clients = [entered(address, f"reviewer{number}") for number in range(REVIEWERS)]
            pages = turning(clients[0], keys)
            taken = naming(clients, keys[1 : REVIEWERS + 1], asked.seconds)
            opened = gallery_seconds(address, keys[0])
    measured = {
        "cells": asked.cells,
        "database": "PostgreSQL" if asked.database else "SQLite",
        "pages_p95_ms": pages,
        "named": len(taken),
        "name_by_key_p50_ms": round(float(np.percentile(taken, 50)), 1),
        "name_by_key_p95_ms": round(float(np.percentile(taken, 95)), 1),
        "gallery_of_2000_seconds": opened,
    }
    if asked.json:
        print(json.dumps(measured, indent=2))
        return
    for name, value in measured.items():
        print(f"{name.replace('_', ' '):26} {value}")


if __name__ == "__main__":
    main()
