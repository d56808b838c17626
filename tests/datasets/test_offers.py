from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from leukolens.datasets import offers as offers_module
from leukolens.datasets.offers import offers
from leukolens.errors import DataError


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_folder_and_an_archive_offer_the_same(tmp_path):
    files = {"top/a.jpg": b"one", "top/deep/b.jpg": b"two"}
    for name, content in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for source in (tmp_path / "folder", packed(tmp_path / "set.zip", files)):
        with offers(source) as found:
            assert {offer.name: offer.read() for offer in found} == files
            assert [offer.size for offer in found] == [3, 3]


def test_a_bomb_gives_no_more_than_it_declares(tmp_path):
    archive = packed(tmp_path / "bomb.zip", {"a.jpg": bytes(5_000_000)})
    declared, real = (5_000_000).to_bytes(4, "little"), archive.read_bytes()
    archive.write_bytes(real.replace(declared, (100).to_bytes(4, "little")))
    with offers(archive) as found:
        assert found[0].size == 100
        with pytest.raises(DataError, match=r"a\.jpg cannot be read"):
            found[0].read()


def test_a_damaged_member_is_named(tmp_path):
    archive = packed(tmp_path / "set.zip", {"a.jpg": bytes(range(256)) * 20})
    content = bytearray(archive.read_bytes())
    content[60:80] = bytes(20)
    archive.write_bytes(content)
    with offers(archive) as found, pytest.raises(DataError, match=r"a\.jpg cannot be read"):
        found[0].read()


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>", b"PK\x03\x04 truncated"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(DataError, match="neither a folder nor a ZIP archive"), offers(tmp_path / "set.zip"):
        pass


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a folder nor a ZIP archive"), offers(tmp_path / "absent"):
        pass


def test_a_folder_far_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(offers_module, "MOST_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.jpg").touch()
    with pytest.raises(DataError, match="more than 3 files"), offers(tmp_path):
        pass
