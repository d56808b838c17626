"""`leukolens demo`, driven end to end with a tiny bundle, and with the shipped one where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import leukolens
from leukolens.bundle import Bundle, pack
from leukolens.cli.main import app
from leukolens.datasets.synthetic import DRAWN_CLASSES, draw_single

HONEST = "This shows the way it works, not how good it is"


def write(bundle: Bundle, path: Path) -> Path:
    path.write_bytes(pack(bundle.card, bundle.classifier))
    return path


@pytest.fixture
def bundle_file(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    return write(make_bundle(), tmp_path / "tiny.leukolens")


def demo(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["demo", *map(str, arguments)])


def document(*arguments: object) -> dict[str, Any]:
    result = demo(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    read: dict[str, Any] = json.loads(result.stdout)
    return read


def test_it_shows_drawn_against_found_and_says_what_that_is_worth(bundle_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = demo("--bundle", bundle_file, "--out", out, "--count", 6)
    assert (result.exit_code, result.stderr) == (0, "")
    header, *rows, sum_, paths = result.stdout.splitlines()
    assert header.split("\t") == ["number", "drawn", "found", "probability", "decision", "same"]
    drawn = [row.split("\t")[1].lower() for row in rows]
    assert drawn == [*DRAWN_CLASSES, DRAWN_CLASSES[0]]
    agreeing = sum(row.split("\t")[5] == "yes" for row in rows)
    assert sum_.startswith(f"{agreeing} of 6 found as drawn. {HONEST}")
    assert str(out / "demo.png") in paths


def test_the_document_holds_what_was_drawn_and_identify_s_answer(bundle_file: Path, tmp_path: Path) -> None:
    read = document("--bundle", bundle_file, "--out", tmp_path, "--count", 5, "--seed", 3)
    assert read["schema"] == "leukolens.demo/1"
    assert read["leukolens"] == leukolens.__version__
    assert read["bundle"]["name"] == "tiny"
    assert read["seed"] == 3
    assert read["note"].startswith(HONEST)
    assert [image["drawn"]["class"] for image in read["images"]] == list(DRAWN_CLASSES)
    agreeing = 0
    for image in read["images"]:
        x0, y0, x1, y1 = image["drawn"]["box"]
        assert 0 <= x0 < x1 <= 320
        assert 0 <= y0 < y1 <= 240
        (cell,) = image["cells"]
        assert sum(cell["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        agreeing += cell["class"] == image["drawn"]["class"]
    assert read["found_as_drawn"] == agreeing
    answer = CliRunner().invoke(
        app, ["identify", str(tmp_path / "cells"), "--bundle", str(bundle_file), "--json"]
    )
    identified = {image["path"]: image["cells"] for image in json.loads(answer.stdout)["images"]}
    assert identified == {image["path"]: image["cells"] for image in read["images"]}


def test_the_folder_holds_the_picture_and_the_drawn_images(bundle_file: Path, tmp_path: Path) -> None:
    read = document("--bundle", bundle_file, "--out", tmp_path / "out", "--count", 3)
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert files == {
        "demo.png",
        "cells/01-neutrophil.png",
        "cells/02-eosinophil.png",
        "cells/03-basophil.png",
    }
    with Image.open(read["picture"]) as picture:
        assert picture.width > 1000
    rng = np.random.default_rng(read["seed"])
    with Image.open(tmp_path / "out" / "cells" / "01-neutrophil.png") as first:
        assert (np.asarray(first) == draw_single(rng, "neutrophil").rgb).all()


def test_equal_seeds_give_equal_pictures_and_others_do_not(bundle_file: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        document("--bundle", bundle_file, "--out", tmp_path / name, "--count", 2, "--seed", seed)
    first, again, other = ((tmp_path / name / "demo.png").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_only_what_the_bundle_can_name_is_drawn(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = write(make_bundle(classes=("lymphocyte", "other")), tmp_path / "two.leukolens")
    read = document("--bundle", bundle, "--out", tmp_path, "--count", 2)
    assert [image["drawn"]["class"] for image in read["images"]] == ["lymphocyte"] * 2


def test_a_bundle_that_knows_no_drawn_class_is_told_so(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = write(make_bundle(classes=("immature_granulocyte", "other")), tmp_path / "none.leukolens")
    result = demo("--bundle", bundle, "--out", tmp_path)
    assert result.exit_code == 1
    assert "knows none of the drawn classes" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_one_line_and_exit_1(bundle_file: Path, tmp_path: Path) -> None:
    result = demo("--bundle", bundle_file, "--out", bundle_file / "inside", "--count", 1)
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("--count", 0), ("--count", 61), ("--seed", -1)])
def test_wrong_numbers_are_wrong_usage(arguments: tuple[str, int], tmp_path: Path) -> None:
    assert demo(*arguments, "--out", tmp_path).exit_code == 2


def test_the_shipped_bundle_finds_most_cells_as_drawn(shipped_bundle: Bundle, tmp_path: Path) -> None:
    read = document("--out", tmp_path, "--count", 20, "--seed", 1)
    assert read["bundle"] == {"name": shipped_bundle.card.name, "sha256": shipped_bundle.sha256}
    assert all(image["status"] == "ok" for image in read["images"])
    assert read["found_as_drawn"] >= 14
