from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from leukolens.datasets import fetch as fetch_module
from leukolens.datasets.base import CellDataset, Conversion, Publication, Sample
from leukolens.datasets.download import Patience
from leukolens.datasets.fetch import fetch, presence
from leukolens.datasets.manifest import Entry
from leukolens.errors import DataError, DownloadError

FILES = {
    "images/1.jpg": b"first cell",
    "images/2.jpg": b"second cell",
    "labels.csv": b"IMAGE,LABEL",
    "LICENSE": b"do as you like",
}
HASTY = Patience(attempts=2, pause_s=0.01, silence_s=0.3)


class Tiny(CellDataset):
    name = "tiny"
    lab = "tiny"
    classes = ("neutrophil",)
    conversions = MappingProxyType({"labels.csv": Conversion("Publisher's labels.csv", bytes.upper)})
    publication = Publication(title="Tiny", source="here", licence="MIT", permissive=True, steps="Ask nicely")

    def _read(self) -> Iterator[Sample]:
        yield from ()


@pytest.fixture(autouse=True)
def _own_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        name: Entry(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in FILES.items()
    }
    monkeypatch.setattr(fetch_module, "manifest", lambda name: entries)


def laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def from_publisher(address: str) -> type[Tiny]:
    class Downloadable(Tiny):
        publication = Publication("Tiny", "here", "MIT", True, download=address)

    return Downloadable


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_folder_is_copied_and_checked(tmp_path):
    told = []
    source = laid_out(tmp_path / "mine", FILES)
    fetched = fetch(Tiny, tmp_path / "data", source, progress=lambda done, total: told.append((done, total)))
    assert content(tmp_path / "data") == {f"tiny/{name}": held for name, held in FILES.items()}
    assert (fetched.files, fetched.fetched, fetched.left_out) == (4, 4, ())
    assert fetched.size == sum(map(len, FILES.values())) == told[-1][0] == told[-1][1]


def test_a_source_may_be_arranged_in_any_way(tmp_path):
    source = laid_out(
        tmp_path / "mine",
        {
            "repository-main/set/images/1.jpg": FILES["images/1.jpg"],
            "elsewhere/renamed.jpg": FILES["images/2.jpg"],
            "Publisher's labels.csv": FILES["labels.csv"].lower(),
            "unrelated.txt": b"???",
        },
    )
    fetched = fetch(Tiny, tmp_path / "data", source)
    assert fetched.left_out == ("LICENSE",)
    assert content(tmp_path / "data" / "tiny") == {
        name: held for name, held in FILES.items() if name != "LICENSE"
    }


def test_of_several_files_of_one_name_the_right_one_is_taken(tmp_path):
    wrong = {f"old/{name}": bytes(len(held)) for name, held in FILES.items()}
    source = laid_out(tmp_path / "mine", wrong | {f"set/{name}": held for name, held in FILES.items()})
    assert fetch(Tiny, tmp_path / "data", source).fetched == 4


def test_the_publishers_archive_is_fetched_checked_and_removed(publisher, tmp_path):
    publisher.content = packed({f"set-main/{name}": held for name, held in FILES.items()})
    fetched = fetch(from_publisher(publisher.address), tmp_path / "data", patience=HASTY)
    assert fetched.files == 4
    assert content(tmp_path / "data") == {f"tiny/{name}": held for name, held in FILES.items()}


def test_an_archive_that_breaks_off_is_gone_on_with(publisher, tmp_path):
    publisher.content = packed({f"set-main/{name}": held for name, held in FILES.items()})
    publisher.cut_at = [100, len(publisher.content)]
    assert fetch(from_publisher(publisher.address), tmp_path, patience=HASTY).files == 4
    assert publisher.asked == [None, "bytes=100-"]


def test_wrong_bytes_install_nothing(publisher, tmp_path):
    publisher.content = packed(FILES | {"images/2.jpg": b"SECOND CELL"})
    with pytest.raises(DataError, match=r"1 files of tiny .* the first images/2\.jpg"):
        fetch(from_publisher(publisher.address), tmp_path, patience=HASTY)
    assert not (tmp_path / "tiny").exists()
    assert not list(tmp_path.glob("*.zip"))


def test_what_is_no_archive_installs_nothing(publisher, tmp_path):
    publisher.content = b"<html>Please sign in</html>"
    with pytest.raises(DataError, match="neither a folder nor a ZIP archive"):
        fetch(from_publisher(publisher.address), tmp_path, patience=HASTY)
    assert not (tmp_path / "tiny").exists()


def test_an_archive_cannot_write_outside(publisher, tmp_path):
    publisher.content = packed(
        {f"../../{name}": held for name, held in FILES.items()} | {"../evil.txt": b"!", "/etc/evil": b"!"}
    )
    fetch(from_publisher(publisher.address), tmp_path / "a" / "data", patience=HASTY)
    assert content(tmp_path) == {f"a/data/tiny/{name}": held for name, held in FILES.items()}


def test_a_second_try_keeps_what_the_first_one_got(tmp_path):
    partly = {name: held for name, held in FILES.items() if name != "images/2.jpg"}
    with pytest.raises(DataError, match=r"1 files .* images/2\.jpg"):
        fetch(Tiny, tmp_path / "data", laid_out(tmp_path / "one", partly))
    assert not (tmp_path / "data" / "tiny").exists()
    only_the_rest = laid_out(tmp_path / "two", {"images/2.jpg": FILES["images/2.jpg"]})
    assert fetch(Tiny, tmp_path / "data", only_the_rest).files == 4
    assert content(tmp_path / "data" / "tiny") == FILES
    assert not list((tmp_path / "data").glob(".*"))


def test_a_half_written_file_of_an_earlier_try_is_written_anew(tmp_path):
    laid_out(
        tmp_path / "data" / ".tiny.part", {"images/1.jpg": b"first", "images/2.jpg": FILES["images/2.jpg"]}
    )
    fetch(Tiny, tmp_path / "data", laid_out(tmp_path / "mine", FILES))
    assert content(tmp_path / "data" / "tiny") == FILES


def test_what_is_complete_already_is_only_checked(tmp_path):
    laid_out(tmp_path / "data" / "tiny", FILES)
    fetched = fetch(Tiny, tmp_path / "data")
    assert (fetched.files, fetched.fetched) == (4, 0)


def test_missing_files_are_filled_in(tmp_path):
    laid_out(tmp_path / "data" / "tiny", {"images/1.jpg": FILES["images/1.jpg"], "notes.txt": b"mine"})
    assert fetch(Tiny, tmp_path / "data", laid_out(tmp_path / "mine", FILES)).fetched == 3
    assert content(tmp_path / "data" / "tiny") == FILES | {"notes.txt": b"mine"}


@pytest.mark.parametrize("changed", [b"first call", b"longer than before"])
def test_a_changed_file_is_never_overwritten(tmp_path, changed):
    laid_out(tmp_path / "data" / "tiny", FILES | {"images/1.jpg": changed})
    with pytest.raises(DataError, match=r"1\.jpg is not the publisher's.*Move it away"):
        fetch(Tiny, tmp_path / "data", laid_out(tmp_path / "mine", FILES))
    assert (tmp_path / "data" / "tiny" / "images" / "1.jpg").read_bytes() == changed


def test_a_login_prints_the_steps(tmp_path):
    with pytest.raises(DownloadError, match="Ask nicely"):
        fetch(Tiny, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "data").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read or written"):
        fetch(Tiny, tmp_path / "data", laid_out(tmp_path / "mine", FILES))


def test_presence_goes_by_names_and_sizes(tmp_path):
    folder = tmp_path / "tiny"
    assert presence(Tiny, folder).state == "absent"
    laid_out(folder, {"images/1.jpg": FILES["images/1.jpg"], "images/2.jpg": b"short"})
    assert (presence(Tiny, folder).state, presence(Tiny, folder).there) == ("incomplete", 1)
    laid_out(folder, {name: held for name, held in FILES.items() if name != "LICENSE"})
    assert (presence(Tiny, folder).state, presence(Tiny, folder).there) == ("present", 3)
    assert presence(Tiny, folder).listed == 4
