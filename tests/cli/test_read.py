"""`leukolens read`: samples in, reports out; stopped, continued and broken images alike."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import leukolens
from leukolens.bundle import Bundle
from leukolens.cli.main import app

CELLS = ["neutrophil"] * 4 + ["lymphocyte"] * 2 + ["monocyte"]


@pytest.fixture
def smear(squares: ModuleType, tmp_path: Path) -> Path:
    """Three fields: 12 neutrophils of which one is unsure, 6 lymphocytes, 3 monocytes, one cell at an edge."""
    folder = tmp_path / "smear"
    folder.mkdir()
    for number in range(3):
        squares.draw(folder / f"{number}.png", CELLS, seed=number, unsure=number == 1, at_edge=number == 2)
    return folder


def read(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["read", *map(str, arguments)])


def document(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = read(*arguments, "--json")
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


# The document


def test_the_document_is_the_agreed_one(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    found = document(smear, "--out", tmp_path / "out")
    assert found["schema"] == "leukolens.read/1"
    assert found["leukolens"] == leukolens.__version__
    assert found["bundle"] == {"name": "tiny", "sha256": square_reader.bundle.sha256}
    (sample,) = found["samples"]
    assert sample["name"] == "smear"
    assert [field["path"] for field in sample["fields"]] == [str(smear / f"{n}.png") for n in range(3)]
    assert {field["status"] for field in sample["fields"]} == {"ok"}
    differential = sample["differential"]
    assert differential["denominator"] == 20
    assert differential["excluded"] == {"unsure": 1, "at_edge": 1, "not_leukocyte": 0}
    counts = {key: row["count"] for key, row in differential["classes"].items()}
    assert {key: count for key, count in counts.items() if count} == {
        "neutrophil": 11, "lymphocyte": 6, "monocyte": 3,
    }  # fmt: skip
    assert differential["classes"]["lymphocyte"]["percent"] == 30
    assert sample["origin"]["engine"] == "squares 1.0"


def test_what_a_person_knows_goes_into_the_count(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text((shipped_ranges()).read_text())
    arguments = ("--wbc", 8, "--nrbc", 5, "--age", 40, "--sex", "female", "--ranges", tmp_path / "ours.toml")
    (sample,) = document(smear, "--out", tmp_path / "out", "--count-edges", *arguments)["samples"]
    differential, settings = sample["differential"], sample["origin"]["settings"]
    assert differential["excluded"]["at_edge"] == 0
    assert differential["classes"]["neutrophil"]["count"] == 12
    assert differential["white_count"] == {
        "given": 8,
        "corrected": pytest.approx(800 / (100 + 500 / 22), abs=1e-4),
    }
    assert differential["nucleated_red_cells"] == {
        "count": 5,
        "per_100_leukocytes": pytest.approx(500 / 22, abs=1e-4),
    }
    assert differential["classes"]["lymphocyte"]["concentration"]["value"] == pytest.approx(
        differential["white_count"]["corrected"] * 6 / 21, abs=1e-3
    )
    assert settings["white cell count"] == "8 x 10^9/L"
    assert settings["cells at an edge"] == "counted"
    assert settings["sex"] == "female"
    assert settings["age"] == "40 years"
    assert re.fullmatch(r"a file of the laboratory's, sha256 [0-9a-f]{64}", settings["reference ranges"])


def shipped_ranges() -> Path:
    return Path(leukolens.__file__).parent / "differential" / "ranges.toml"


def test_an_image_that_cannot_be_read_costs_the_others_nothing(
    square_reader: Any, smear: Path, tmp_path: Path
) -> None:
    good = document(smear, "--out", tmp_path / "good")["samples"][0]
    (smear / "1a.jpg").write_text("no image")
    (smear / "1b.png").touch()
    (smear / "1c.png").touch()
    os.mkfifo(smear / "1d.png") if hasattr(os, "mkfifo") else None
    broken = document(smear, smear / "gone.png", "--out", tmp_path / "out", code=1)
    smear_sample, loose = broken["samples"]
    failed = {
        Path(field["path"]).name: field["reason"]
        for field in smear_sample["fields"]
        if field["status"] == "failed"
    }
    assert failed.keys() >= {"1a.jpg", "1b.png", "1c.png"}
    assert "no image" in failed["1a.jpg"]
    assert "empty" in failed["1b.png"]
    assert smear_sample["differential"] == good["differential"]
    assert "no such file" in loose["fields"][0]["reason"]
    assert (loose["name"], loose["differential"]["denominator"]) == ("sample", 0)
    result = read(smear, "--out", tmp_path / "out")
    assert result.exit_code == 1
    total, bad = len(smear_sample["fields"]), len(failed)
    assert result.stderr == f"{bad} of {total} fields could not be read; the report says why.\n"
    assert f"Not read: {smear / '1a.jpg'}: is no image" in result.stdout


def test_copies_of_a_field_count_once(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    expected = document(smear, "--out", tmp_path / "out")["samples"][0]["differential"]
    shutil.copy(smear / "0.png", smear / "copy of 0.png")
    result = read(smear, smear / ".." / "smear", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert result.stderr == "1 field left out: copies of another one of the same sample.\n"
    (sample,) = json.loads(result.stdout)["samples"]
    assert sample["differential"] == expected
    assert len(sample["fields"]) == 3


# The files


def test_every_format_has_its_file(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    result = read(
        smear,
        "--out",
        tmp_path / "out",
        "--format",
        "html,csv",
        "--format",
        "json, GeoJSON,coco",
        "--format",
        "fhir",
    )
    assert result.exit_code == 0, result.stderr
    folder = tmp_path / "out" / "smear"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "report.html", "cells.csv", "differential.csv", "report.json", "coco.json", "fhir.json",
        "geojson/field-001.geojson", "geojson/field-002.geojson", "geojson/field-003.geojson",
    }  # fmt: skip


def test_the_usual_formats(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    assert read(smear, "--out", tmp_path / "out").exit_code == 0
    folder = tmp_path / "out" / "smear"
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "cells.csv",
        "differential.csv",
        "report.json",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"smear", "journal.jsonl", "journal.lock"}


def test_no_name_leaves_in_a_file_unless_asked(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    (smear / "0.png").rename(smear / "Jane Doe 1970.png")
    (smear / "Jane Doe broken.png").write_text("nothing")
    secret = smear.rename(tmp_path / "ward 7")
    formats = ("--format", "html,csv,json,geojson,coco,fhir")
    arguments = (secret, "--name", "S1", *formats)
    assert read(*arguments, "--out", tmp_path / "out").exit_code == 1
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == 11
    for path in written:
        content = path.read_bytes()
        assert b"Jane" not in content, path
        assert b"ward" not in content, path
    assert read(*arguments, "--out", tmp_path / "named", "--names").exit_code == 1
    with_names = {
        path.name
        for path in (tmp_path / "named" / "S1").iterdir()
        if path.is_file() and b"Jane Doe 1970" in path.read_bytes()
    }
    assert with_names >= {"report.html", "cells.csv", "report.json", "coco.json"}


def test_the_page_has_pictures_only_of_what_was_read(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    from leukolens.cli.read_outputs import pixels
    from leukolens.reading.cell import FieldReading

    (reading,) = square_reader.read([smear / "0.png"])
    shown = pixels(reading)
    assert shown is not None
    assert shown.shape == (reading.height, reading.width, 3)
    shutil.copy(smear / "1.png", smear / "0.png")
    assert pixels(reading) is None
    (smear / "0.png").unlink()
    assert pixels(reading) is None
    assert isinstance(reading, FieldReading)


def test_fields_of_an_earlier_run_do_not_stay(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    for expected in (3, 2):
        assert read(smear, "--out", tmp_path / "out", "--format", "geojson").exit_code == 0
        assert len(list((tmp_path / "out" / "smear" / "geojson").iterdir())) == expected
        (smear / "2.png").unlink(missing_ok=True)


def test_samples_have_folders_of_their_own(
    square_reader: Any, smear: Path, tmp_path: Path, squares: ModuleType
) -> None:
    (tmp_path / "other").mkdir()
    smear.rename(tmp_path / "other" / "smear")
    again = tmp_path / "smear"
    again.mkdir()
    squares.draw(again / "x.png", ["basophil"])
    found = document(tmp_path / "other", again, "--out", tmp_path / "out", "--format", "json")
    assert [sample["name"] for sample in found["samples"]] == ["smear", "smear-2"]
    for sample in found["samples"]:
        (alone,) = json.loads((tmp_path / "out" / sample["name"] / "report.json").read_text())["samples"]
        assert alone["differential"] == sample["differential"]


# Equal answers, however they came about


def outcome(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith("journal.")
    }


ALL = ("--format", "html,csv,json,geojson,coco,fhir")


def test_equal_input_gives_equal_bytes(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    first = read(smear, "--out", tmp_path / "a", "--json", *ALL)
    again = read(smear, "--out", tmp_path / "b", "--json", *ALL)
    assert first.stdout == again.stdout
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")


def test_a_finished_run_is_told_again_without_reading(
    square_reader: Any, smear: Path, tmp_path: Path
) -> None:
    first = read(smear, "--out", tmp_path / "out", "--json", *ALL)
    before = outcome(tmp_path / "out")
    assert square_reader.read_files == ["0.png", "1.png", "2.png"]
    (smear / "2.png").rename(smear / "3.png")
    again = read(smear, "--out", tmp_path / "out", "--json", *ALL)
    assert len(square_reader.read_files) == 3
    assert again.stdout == first.stdout.replace("2.png", "3.png")
    assert outcome(tmp_path / "out") == before


def test_a_journal_of_another_bundle_is_not_used(
    square_reader: Any, smear: Path, tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    read(smear, "--out", tmp_path / "out")
    square_reader.bundle = make_bundle(name="another")
    read(smear, "--out", tmp_path / "out")
    assert len(square_reader.read_files) == 6


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stopped_run_continues_to_the_same_bytes(
    square_reader: Any, smear: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (smear / "1b.png").write_text("broken")
    whole = read(smear, "--out", tmp_path / "whole", "--json", *ALL)
    one = square_reader._one

    def stopping(path: Path) -> object:
        if path.name == f"{after}.png":
            raise KeyboardInterrupt
        return one(path)

    monkeypatch.setattr(square_reader, "_one", stopping)
    stopped = read(smear, "--out", tmp_path / "out", *ALL)
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1] == "Interrupted."
    assert re.match(r"\d of 4 fields are done; the same command goes on from there\.", stopped.stderr)
    assert outcome(tmp_path / "out") == {}
    monkeypatch.setattr(square_reader, "_one", one)
    square_reader.read_files.clear()
    continued = read(smear, "--out", tmp_path / "out", "--json", *ALL)
    assert continued.stdout == whole.stdout
    assert outcome(tmp_path / "out") == outcome(tmp_path / "whole")
    assert len(square_reader.read_files) == 4 - after


DRIVER = """
import sys
from pathlib import Path
from leukolens.bundle import load
from leukolens.cli import main
import leukolens.cli.read as command
import squares
slowness = float(sys.argv.pop(1))
command.open_reader = lambda bundle, engine: squares.SquareReader(load(bundle), slowness=slowness)
main.main()
"""


def started(slowness: float, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(slowness), "read", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def journalled(out: Path) -> int:
    path = out / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@pytest.fixture
def many(squares: ModuleType, tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        squares.draw(folder / f"{number:02d}.png", CELLS[: number % 7], seed=number)
    return folder


def test_a_killed_run_loses_nothing_that_was_done(many: Path, bundle_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (many, "--bundle", bundle_file, "--json")
    with started(0.05, *arguments, "--out", out) as running:
        wait_for(lambda: journalled(out) >= 5)
        running.kill()
    done = journalled(out)
    assert 5 <= done < 60
    with started(0, *arguments, "--out", out) as running:
        continued, err = running.communicate(timeout=120)
        assert (running.returncode, err) == (0, "")
    assert journalled(out) == 60
    with started(0, *arguments, "--out", tmp_path / "whole") as running:
        whole, _ = running.communicate(timeout=120)
    assert continued == whole
    assert outcome(out) == outcome(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_stops_in_a_moment_and_a_second_writer_is_refused(
    many: Path, bundle_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(0.1, many, "--bundle", bundle_file, "--out", out) as running:
        wait_for(lambda: journalled(out) >= 2)
        with started(0, many, "--bundle", bundle_file, "--out", out) as second:
            _, err = second.communicate(timeout=60)
        assert second.returncode == 1
        said = f"{out} is in use: another `leukolens read` writes there."
        assert err == f"{said} Wait until it ends, or choose another folder with --out.\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert re.fullmatch(
        r"\d+ of 60 fields are done; the same command goes on from there\.\nInterrupted\.\n", err
    )


# A folder that fills


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_watched_folder_is_read_as_it_fills_and_reported_at_ctrl_c(
    squares: ModuleType, bundle_file: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "camera", tmp_path / "out"
    folder.mkdir()
    late = squares.draw(tmp_path / "late.png", CELLS).read_bytes()
    arguments = (folder, "--bundle", bundle_file, "--json")
    with started(0, *arguments, "--watch", "--out", out) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == f"Watching {folder}. Ctrl-C ends it and writes the report.\n"
        squares.draw(folder / "b.png", ["lymphocyte"])
        (folder / "a.png").write_bytes(late[:80])
        assert running.stderr.readline() == "1\tb.png\t1 white cell\n"
        assert journalled(out) == 1
        (folder / "a.png").write_bytes(late)
        assert running.stderr.readline() == "2\ta.png\t7 white cells\n"
        (folder / "c.png").write_bytes(late[:80])
        folder.rename(tmp_path / "away")  # as a network drive may be for a while
        time.sleep(1)
        (tmp_path / "away").rename(folder)
        running.send_signal(signal.SIGINT)
        watched, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "c.png\tnot read: is truncated or damaged" in err
    assert err.endswith("1 of 3 fields could not be read; the report says why.\n")
    with started(0, *arguments, "--out", tmp_path / "whole") as running:
        whole, _ = running.communicate(timeout=60)
    assert watched == whole
    assert outcome(out) == outcome(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_watched_folder_that_stays_empty_is_no_report(bundle_file: Path, tmp_path: Path) -> None:
    (tmp_path / "camera").mkdir()
    with started(
        0, tmp_path / "camera", "--bundle", bundle_file, "--watch", "--out", tmp_path / "out"
    ) as running:
        assert running.stderr is not None
        running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, len(err.splitlines())) == (1, 1)
    assert "no field came into" in err


# What people see


def test_lines_for_a_pipe(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = read(smear, "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split("\t") for line in result.stdout.splitlines() if "\t" in line]
    assert rows[0][:6] == ["sample", "class", "count", "percent", "low", "high"]
    assert {len(row) for row in rows} == {12}
    assert {row[1]: row[2] for row in rows[1:]}["Neutrophil"] == "11"
    assert rows[-1][:3] == ["smear", "Unsure", "1"]
    assert "3 fields, 20 white cells counted; not counted: 1 unsure, 1 cut by an edge." in result.stdout
    assert result.stdout.splitlines()[-1] == f"Report: {out / 'smear' / 'report.html'}"
    with (out / "smear" / "differential.csv").open(encoding="utf-8") as stream:
        assert sum(1 for _ in csv.reader(stream)) > 5


def test_quiet_says_nothing_but_failures(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    result = read(smear, "--out", tmp_path / "out", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    (smear / "broken.png").touch()
    result = read(smear, "--out", tmp_path / "out", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "1 of 4 fields could not be read; the report says why.\n"


# Wrong usage, and what else ends in one line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "pdf"), "'pdf' is no format"),
        (("--format", ","), "no format is named"),
        (("--wbc", "7200"), "7200 per microlitre are 7.2"),
        (("--wbc", "nan"), "no count"),
        (("--wbc", "0"), "no count"),
        (("--nrbc", "-1"), "'--nrbc'"),
        (("--age", "nan"), "no age"),
        (("--age", "-3"), "no age"),
        (("--sex", "neither"), "neither"),
        (("--watch", "--format", "json", "."), "--watch takes one folder"),
    ],
)
def test_wrong_usage_leaves_with_2(
    square_reader: Any, smear: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = read(smear, *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--wbc", "--nrbc"])
def test_a_blood_count_is_of_one_sample(square_reader: Any, smear: Path, tmp_path: Path, option: str) -> None:
    shutil.copytree(smear, tmp_path / "other")
    result = read(smear, tmp_path / "other", option, 7, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "belong to one sample" in result.stderr


def one_line(result: Result, said: str) -> None:
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_out_that_is_no_folder(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one_line(read(smear, "--out", tmp_path / "file"), "file cannot be made")
    one_line(read(smear, "--out", tmp_path / "file" / "below"), "cannot be made")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "smear").touch()
    one_line(read(smear, "--out", tmp_path / "out"), "smear cannot be made")


def test_ranges_that_are_not_there(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    one_line(read(smear, "--ranges", tmp_path / "none.toml", "--out", tmp_path / "out"), "none.toml")


def test_a_name_for_several_samples(square_reader: Any, smear: Path, tmp_path: Path) -> None:
    shutil.copytree(smear, tmp_path / "other")
    one_line(read(smear, tmp_path / "other", "--name", "x", "--out", tmp_path / "out"), "is for one sample")


@pytest.mark.skipif(os.name == "nt", reason="limits are POSIX")
def test_a_full_disk_is_one_line(many: Path, bundle_file: Path, tmp_path: Path) -> None:
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n" + DRIVER
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONDONTWRITEBYTECODE": "1"}
    out = tmp_path / "out"
    ended = subprocess.run(
        [sys.executable, "-c", program, "0", "read", many, "--bundle", bundle_file, "--out", out],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "cannot be written" in ended.stderr
    with started(0, many, "--bundle", bundle_file, "--out", out, "--json") as running:
        continued, _ = running.communicate(timeout=60)
    with started(0, many, "--bundle", bundle_file, "--out", tmp_path / "whole", "--json") as running:
        whole, _ = running.communicate(timeout=60)
    assert continued == whole


def test_memory_does_not_grow_with_the_fields(
    square_reader: Any, squares: ModuleType, tmp_path: Path
) -> None:
    """Pixels of one field at a time are alive, however many there are."""
    import tracemalloc

    def peak(number: int) -> int:
        folder = tmp_path / f"of {number}"
        folder.mkdir()
        for place in range(number):
            squares.draw(folder / f"{place:03d}.png", ["neutrophil"], seed=place)
        tracemalloc.start()
        assert read(folder, "--out", tmp_path / "out", "--quiet", "--format", "html,json").exit_code == 0
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(2)
    few, many = peak(20), peak(120)
    assert many - few < 100 * squares.WIDTH * squares.HEIGHT * 3
