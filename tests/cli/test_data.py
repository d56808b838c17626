from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import leukolens
from leukolens.cli.main import app
from leukolens.datasets import catalogue
from leukolens.datasets import fetch as fetch_module
from leukolens.datasets.base import CellDataset, Publication, Sample, images_in
from leukolens.datasets.manifest import Entry, manifest

FILES = {"monocyte/1.png": b"first cell", "monocyte/2.png": b"second cell", "LICENSE": b"do as you like"}


class Tiny(CellDataset):
    name = "tiny"
    lab = "tiny"
    classes = ("neutrophil", "monocyte")
    publication = Publication(
        title="Tiny cells",
        source="https://example.org/tiny",
        licence="MIT",
        permissive=True,
        steps="Sign in there, unpack, and use --from FOLDER",
    )

    def _read(self) -> Iterator[Sample]:
        for path in images_in(self.root):
            yield Sample(path, "monocyte", self.lab, "all", f"tiny/{path.stem}")


@pytest.fixture(autouse=True)
def _one_more_set(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        name: Entry(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in FILES.items()
    }
    monkeypatch.setattr(fetch_module, "manifest", lambda name: entries if name == "tiny" else manifest(name))
    monkeypatch.setattr(catalogue, "CLASSES", {**catalogue.CLASSES, "tiny": Tiny})
    monkeypatch.setattr(catalogue, "NAMES", (*catalogue.NAMES, "tiny"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "mine"


@pytest.fixture
def server(mine: Path) -> Iterator[str]:
    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with zipfile.ZipFile(mine.parent / "tiny.zip", "w") as archive:
        for name in FILES:
            archive.write(mine / name, f"tiny-main/{name}")
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(mine.parent)))
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()
    thread.join()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)], env={"COLUMNS": "160"})


def published_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Tiny,
        "publication",
        Publication("Tiny cells", "https://example.org/tiny", "MIT", True, download=address),
    )


def test_the_list_has_every_set_with_its_licence_and_whether_it_is_here(tmp_path):
    result = run("list", "--data", tmp_path)
    assert result.exit_code == 0
    for word in (*catalogue.NAMES, "GPL-3.0", "CC-BY-4.0", "absent", "unverified"):
        assert word in result.stdout


def test_the_list_as_json(tmp_path, mine):
    run("get", "tiny", "--from", mine, "--out", tmp_path / "data")
    (tmp_path / "data" / "tecom-300" / "images").mkdir(parents=True)
    result = run("list", "--data", tmp_path / "data", "--json")
    document = json.loads(result.stdout)
    assert (document["schema"], document["leukolens"]) == ("leukolens.data.list/1", leukolens.__version__)
    rows = {row["name"]: row for row in document["sets"]}
    assert list(rows) == list(catalogue.NAMES)
    assert {name: row["state"] for name, row in rows.items()} == dict.fromkeys(catalogue.NAMES, "absent") | {
        "tiny": "present",
        "tecom-300": "incomplete",
    }
    assert rows["tiny"]["counts"] == {"all": {"monocyte": 2}}
    assert rows["tiny"]["address_verified"] is None
    assert rows["bccd"]["address_verified"] is False
    assert rows["bccd"]["lab"] == rows["blood-cells"]["lab"]
    assert rows["blood-cells"]["counts"] is None
    assert rows["blood-cells"]["files_listed"] == 12516
    assert rows["pbc-224"]["classes"][-1] == "other"


def test_getting_from_a_folder_shows_the_licence_and_says_what_was_done(tmp_path, mine):
    result = run("get", "tiny", "--from", mine, "--out", tmp_path / "data")
    assert result.exit_code == 0
    assert "licence: MIT (https://example.org/tiny)" in result.stderr
    assert "3 files as the manifest has them, 3 of them new" in result.stdout
    assert (tmp_path / "data" / "tiny" / "monocyte" / "2.png").read_bytes() == b"second cell"
    again = run("get", "tiny", "--out", tmp_path / "data")
    assert "all of them here already" in again.stdout


def test_getting_as_json(tmp_path, mine):
    (mine / "LICENSE").unlink()
    result = run("get", "tiny", "--from", mine, "--out", tmp_path / "data", "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == "leukolens.data.get/1"
    assert document["licence"] == "MIT"
    assert (document["files"], document["fetched"], document["left_out"]) == (2, 2, ["LICENSE"])
    assert document["bytes"] == 21
    assert Path(document["folder"]) == tmp_path / "data" / "tiny"


def test_getting_from_the_publisher_says_that_the_address_is_unverified(tmp_path, server, monkeypatch):
    published_at(f"{server}/tiny.zip", monkeypatch)
    monkeypatch.setenv("LEUKOLENS_DATA", str(tmp_path / "data"))
    result = run("get", "tiny")
    assert result.exit_code == 0
    assert "tiny.zip is unverified" in result.stderr
    assert (tmp_path / "data" / "tiny" / "monocyte" / "1.png").read_bytes() == b"first cell"


def test_a_publisher_who_lacks_the_file_is_one_line_and_exit_1(tmp_path, server, monkeypatch):
    published_at(f"{server}/gone.zip", monkeypatch)
    result = run("get", "tiny", "--out", tmp_path / "data", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "HTTP 404" in result.stderr.splitlines()[-1]


def test_wrong_bytes_are_one_line_and_exit_1(tmp_path, mine):
    (mine / "monocyte" / "1.png").write_bytes(b"other cell")
    result = run("get", "tiny", "--from", mine, "--out", tmp_path / "data")
    assert result.exit_code == 1
    assert "the first monocyte/1.png" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "data" / "tiny").exists()


def test_a_login_prints_the_steps(tmp_path):
    result = run("get", "tiny", "--out", tmp_path)
    assert result.exit_code == 1
    assert "Sign in there, unpack" in result.stderr
    assert "licence: MIT" in result.stderr


@pytest.mark.parametrize("name", ["blood-cells", "pbc-224", "raabin-500"])
def test_sets_behind_a_login_or_a_form_say_how_to_hand_them_over(tmp_path, name):
    result = run("get", name, "--out", tmp_path)
    assert result.exit_code == 1
    assert f"leukolens data get {name} --from FOLDER" in result.stderr


def test_an_unknown_set_is_exit_1_and_no_name_is_exit_2(tmp_path):
    unknown = run("get", "kaggle", "--out", tmp_path)
    assert unknown.exit_code == 1
    assert "blood-cells, bccd" in unknown.stderr
    assert run("get").exit_code == 2


@pytest.mark.data
def test_real_sets_are_present_with_the_counts_of_the_guide(data_root):
    document = json.loads(run("list", "--data", data_root, "--json").stdout)
    rows = {row["name"]: row for row in document["sets"]}
    assert rows["blood-cells"]["counts"]["test"] == {
        "neutrophil": 624,
        "eosinophil": 623,
        "lymphocyte": 620,
        "monocyte": 620,
    }
    assert {name: rows[name]["state"] for name in ("blood-cells", "bccd", "pbc-224")} == dict.fromkeys(
        ("blood-cells", "bccd", "pbc-224"), "present"
    )


@pytest.mark.data
def test_a_real_set_is_copied_whole(data_root, tmp_path):
    result = run("get", "bccd", "--from", data_root / "bccd", "--out", tmp_path, "--json")
    assert json.loads(result.stdout)["files"] == 733
