"""What `leukolens read` cannot do as asked ends at once, and says in a line what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from leukolens.cli.main import app


def read(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["read", *map(str, arguments)])


def one_line(result: Result, said: str) -> None:
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


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
