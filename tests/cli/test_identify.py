"""`leukolens identify`: every image answered, in every form, and an exit code that tells."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import leukolens
from leukolens.bundle import Bundle, pack
from leukolens.card import Adapted, Framing, Judgement
from leukolens.cli.main import app
from leukolens.datasets.synthetic import draw_single
from leukolens.reading.familiarity import learned
from leukolens.taxonomy import CLASS_KEYS

COLOURS = {"red": (255, 0, 0), "pale": (150, 120, 120), "black": (0, 0, 0), "white": (255, 255, 255)}


@pytest.fixture
def smears(tmp_path: Path) -> Path:
    folder = tmp_path / "smears"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (32, 24), colour).save(folder / f"{name}.png")
    return folder


def identify(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["identify", *map(str, arguments)])


def documented(*arguments: object) -> tuple[int, dict[str, dict[str, object]]]:
    result = identify(*arguments, "--json")
    read = json.loads(result.stdout)
    assert read["schema"] == "leukolens.identify/1"
    return result.exit_code, {Path(image["path"]).name: image for image in read["images"]}


# The document


def test_the_document_is_the_agreed_one(bundle_file: Path, smears: Path) -> None:
    result = identify(smears / "red.png", "--bundle", bundle_file, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    read = json.loads(result.stdout)
    assert list(read) == ["schema", "leukolens", "bundle", "images", "batch"]
    assert read["leukolens"] == leukolens.__version__
    assert read["bundle"]["name"] == "tiny"
    assert len(read["bundle"]["sha256"]) == 64
    (image,) = read["images"]
    (cell,) = image["cells"]
    assert (image["path"], image["status"], image["reason"]) == (str(smears / "red.png"), "ok", None)
    assert cell["box"] == [0, 0, 32, 24]
    assert cell["class"] == "neutrophil"
    assert list(cell["probabilities"]) == list(CLASS_KEYS)
    assert sum(cell["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert cell["decision"] == "accept"
    assert "neutrophil at" in cell["reason"]


def test_a_sample_of_a_new_stain_is_warned_of(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    reds = np.random.default_rng(0).normal((1, -1, -1), 0.05, (60, 3))
    known = learned(reds, ["neutrophil"] * 60, ["here"] * 60).to_bytes()
    judgement = Judgement(accept_above=0.8, usual_within=4.0, unlike_beyond=8.0, outside_share=0.1)
    bundle = make_bundle(familiarity=known, judgement=judgement)
    file, words = tmp_path / "knows.leukolens", "This stain is new to the model: 100 % of 20 cells"
    file.write_bytes(pack(bundle.card, bundle.classifier, familiarity=known))
    for name, colour in {"red": (255, 0, 0), "green": (0, 255, 0)}.items():
        folder = tmp_path / name
        folder.mkdir()
        for number in range(20):
            Image.new("RGB", (32, 24), colour).save(folder / f"{number}.png")
    strange = identify(tmp_path / "green", "--bundle", file, "--json")
    assert strange.exit_code == 0
    assert words in strange.stderr
    read = json.loads(strange.stdout)
    assert read["batch"]["unlike"]
    assert {image["cells"][0]["decision"] for image in read["images"]} == {"unknown"}
    assert identify(tmp_path / "green", "--bundle", file, "--quiet").stderr == ""
    quiet = identify(tmp_path / "red", "--bundle", file, "--json")
    assert quiet.stderr == ""
    assert json.loads(quiet.stdout)["batch"] == {
        "cells": 20, "outside": 0, "share": 0.0, "usual": 0.1, "unlike": False, "message": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "unlabelled", "said"),
    [("better", 0, ""), ("no worse", 0, ""), ("too few to tell", 0, "with too few labelled cells"),
     ("not judged", 50, "with 50 cells without labels")],
)  # fmt: skip
def test_answers_of_a_bundle_that_nobody_could_judge_are_warned_of(
    make_bundle: Callable[..., Bundle], tmp_path: Path, verdict: str, unlabelled: int, said: str
) -> None:
    own = {
        "parent": "default", "parent_sha256": "0" * 64, "date": "2026-01-01", "method": "head", "cells": {},
        "groups": 3, "verdict": verdict, "unlabelled": unlabelled,
    }  # fmt: skip
    made = make_bundle()
    card = made.card.model_copy(update={"adapted": Adapted.model_validate(own)})
    assert (bool(card.caution), said in card.caution) == (bool(said), True)
    file, image = tmp_path / "own.leukolens", tmp_path / "cell.png"
    file.write_bytes(pack(card, made.classifier))
    Image.new("RGB", (32, 24), (255, 0, 0)).save(image)
    assert identify(image, "--bundle", file).stderr.replace("\n", " ").strip() == card.caution
    assert identify(image, "--bundle", file, "--quiet").stderr == ""


def test_all_three_decisions(bundle_file: Path, smears: Path) -> None:
    code, images = documented(smears, "--bundle", bundle_file)
    decisions = {name: image["cells"][0]["decision"] for name, image in images.items()}  # type: ignore[index]
    assert code == 0
    assert decisions == {
        "red.png": "accept",
        "pale.png": "review",
        "black.png": "unknown",
        "white.png": "unknown",
    }


def test_equal_images_give_an_equal_document(bundle_file: Path, smears: Path) -> None:
    first = identify(smears, "--bundle", bundle_file, "--json").stdout
    assert identify(smears, "--bundle", bundle_file, "--json").stdout == first
    assert first.isascii()


def test_every_bad_image_has_a_row_and_the_others_come_out(bundle_file: Path, smears: Path) -> None:
    (smears / "empty.png").touch()
    (smears / "text.jpg").write_text("hello")
    (smears / "cut.png").write_bytes((smears / "red.png").read_bytes()[:60])
    code, images = documented(smears, smears / "missing.png", "--bundle", bundle_file)
    assert code == 1
    failed = {name: str(image["reason"]) for name, image in images.items() if image["status"] == "failed"}
    assert failed.keys() == {"empty.png", "text.jpg", "cut.png", "missing.png"}
    assert "empty" in failed["empty.png"]
    assert "no image" in failed["text.jpg"]
    assert "damaged" in failed["cut.png"]
    assert "no such file" in failed["missing.png"]
    assert sum(image["status"] == "ok" for image in images.values()) == len(COLOURS)


def test_a_cell_less_image_is_answered_and_no_failure(
    make_bundle: Callable[..., Bundle], smears: Path, tmp_path: Path
) -> None:
    bundle = make_bundle(framing=Framing(size=32))
    path = tmp_path / "framing.leukolens"
    path.write_bytes(pack(bundle.card, bundle.classifier))
    drawn = draw_single(np.random.default_rng(2), "neutrophil")
    Image.fromarray(drawn.rgb).save(smears / "cell.png")
    code, images = documented(smears / "white.png", smears / "cell.png", "--bundle", path)
    assert code == 0
    assert (images["white.png"]["status"], images["white.png"]["cells"]) == ("no_cell", [])
    assert "no nucleus" in str(images["white.png"]["reason"])
    assert images["cell.png"]["status"] == "ok"


# What people see


def test_lines_for_a_pipe(bundle_file: Path, smears: Path) -> None:
    result = identify(smears, smears / "missing.png", "--bundle", bundle_file)
    lines = result.stdout.splitlines()
    assert lines[0].split("\t") == ["image", "cell", "probability", "decision", "reason"]
    assert [Path(line.split("\t")[0]).stem for line in lines[1:]] == [*sorted(COLOURS), "missing"]
    assert result.exit_code == 1
    assert result.stderr == "1 of 5 images could not be read; each row says why.\n"


def test_quiet_says_nothing_but_failures(bundle_file: Path, smears: Path) -> None:
    result = identify(smears, "--bundle", bundle_file, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    result = identify(smears / "missing.png", "--bundle", bundle_file, "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
def test_a_table_on_a_terminal(bundle_file: Path, smears: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "leukolens.cli.main", "identify", "--bundle", str(bundle_file), str(smears)],
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=True,
        env={**os.environ, "COLUMNS": "160", "TERM": "xterm-256color"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    text = shown.decode()
    assert done.stderr == b""
    assert "Neutrophil" in text
    assert "4 images: 1 accept, 1 review, 2 unknown." in text


def test_a_csv_table(bundle_file: Path, smears: Path, tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    assert identify(smears, "--bundle", bundle_file, "--quiet", "--csv", path).exit_code == 0
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [Path(row["path"]).stem for row in rows] == sorted(COLOURS)
    _, images = documented(smears, "--bundle", bundle_file)
    for row in rows:
        (cell,) = images[Path(row["path"]).name]["cells"]  # type: ignore[misc]
        assert row["class"] == cell["class"]
        assert {key: float(row[f"probability_{key}"]) for key in CLASS_KEYS} == cell["probabilities"]


def test_a_csv_that_cannot_be_written_is_one_line(bundle_file: Path, smears: Path, tmp_path: Path) -> None:
    result = identify(smears, "--bundle", bundle_file, "--csv", tmp_path / "nowhere" / "cells.csv")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "cannot be written" in result.stderr


def test_pictures_of_what_spoke_for_it(bundle_file: Path, smears: Path, tmp_path: Path) -> None:
    (smears / "empty.png").touch()
    folder = tmp_path / "why" / "deep"
    result = identify(smears, "--bundle", bundle_file, "--explain", folder, "--quiet")
    assert result.exit_code == 1
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["00001-black.png", "00003-pale.png", "00004-red.png", "00005-white.png"]
    with Image.open(folder / "00004-red.png") as shown:
        assert shown.width >= 480
        assert shown.height > shown.width * 24 / 32


def test_pictures_from_a_bundle_that_cannot_explain(
    make_bundle: Callable[..., Bundle], graph_maker: Callable[..., bytes], smears: Path, tmp_path: Path
) -> None:
    bundle = make_bundle(graph=graph_maker(32, np.ones((7, 3)), activation=False))
    path = tmp_path / "flat.leukolens"
    path.write_bytes(pack(bundle.card, bundle.classifier))
    result = identify(smears, "--bundle", path, "--explain", tmp_path / "why")
    assert result.exit_code == 1
    assert "activation maps" in result.stderr
    assert not (tmp_path / "why").exists()


def test_pictures_that_cannot_be_written(bundle_file: Path, smears: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = identify(smears, "--bundle", bundle_file, "--explain", tmp_path / "file")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


# Folders


def test_an_empty_folder_is_one_line(bundle_file: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    result = identify(tmp_path / "bare", "--bundle", bundle_file)
    assert result.exit_code == 1
    assert "holds no image" in result.stderr
    assert result.stdout == ""


def test_folders_of_folders(bundle_file: Path, smears: Path) -> None:
    (smears / "deeper").mkdir()
    Image.new("RGB", (32, 24), "red").save(smears / "deeper" / "more.png")
    assert "more.png" not in documented(smears, "--bundle", bundle_file)[1]
    code, images = documented(smears, "--recursive", "--bundle", bundle_file)
    assert code == 0
    assert images["more.png"]["status"] == "ok"


def test_a_locked_folder_has_a_row(bundle_file: Path, smears: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (smears / "locked").mkdir()
    listing = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", guarded)
    code, images = documented(smears, "--recursive", "--bundle", bundle_file)
    assert code == 1
    assert images["locked"]["status"] == "failed"
    assert len(images) == len(COLOURS) + 1


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_of_any_kind(bundle_file: Path, smears: Path, tmp_path: Path) -> None:
    names = ["血 und é.png", "=cmd.png", "new\nline.png", "\x1b[31m.png", "x" * 240 + ".png"]
    content = (smears / "red.png").read_bytes()
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(content)
    try:
        (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(content)
        names.append(os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pass
    command = [sys.executable, "-m", "leukolens.cli.main", "identify", str(folder)]
    command += ["--bundle", str(bundle_file)]
    done = subprocess.run(
        [*command, "--json", "--csv", str(tmp_path / "odd.csv"), "--explain", str(tmp_path / "why")],
        capture_output=True,
        check=True,
    )
    images = json.loads(done.stdout)["images"]
    assert {Path(image["path"]).name for image in images} == set(names)
    assert {image["status"] for image in images} == {"ok"}
    assert len(list((tmp_path / "why").iterdir())) == len(names)
    (tmp_path / "odd.csv").read_text(encoding="utf-8")
    done = subprocess.run(
        command,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert len(done.stdout.decode("ascii").splitlines()) == len(names) + 1
    assert b"\x1b" not in done.stdout


# The base install


def test_a_whole_run_needs_the_base_install_only(bundle_file: Path, smears: Path, tmp_path: Path) -> None:
    heavy = ("torch", "scipy", "skimage", "sklearn", "matplotlib", "onnx", "kornia", "lightning_fabric")
    program = f"""
import sys
from leukolens.cli.main import main
try:
    main()
except SystemExit as ending:
    assert not ending.code
print(*[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    arguments = ["identify", str(smears), "--bundle", str(bundle_file), "--csv", str(tmp_path / "a.csv")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--explain", str(tmp_path / "why")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.split() == []


# The bundle that ships


def test_the_shipped_bundle_is_used_where_none_is_named(
    shipped_bundle: Bundle, data_root: Path, tmp_path: Path
) -> None:
    # TRAIN: looks at TEST and TEST_SIMPLE belong to the evaluation and its ledger.
    folder = data_root / "blood-cells" / "images" / "TRAIN" / "MONOCYTE"
    paths = sorted(folder.iterdir())[:4]
    result = identify(*paths, "--json", "--explain", tmp_path)
    assert result.exit_code == 0
    read = json.loads(result.stdout)
    assert read["bundle"]["sha256"] == shipped_bundle.sha256
    assert [image["path"] for image in read["images"]] == [str(path) for path in paths]
    named = [image for image in read["images"] if image["status"] == "ok"]
    assert len(list(tmp_path.iterdir())) == len(named) > 0
