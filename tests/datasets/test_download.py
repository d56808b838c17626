from __future__ import annotations

import time
from pathlib import Path

import pytest

from leukolens.datasets.download import Patience, download
from leukolens.errors import DownloadError

CONTENT = bytes(range(256)) * 2000
HASTY = Patience(attempts=3, pause_s=0.01, silence_s=0.3, window_s=0.3, slowest=1000)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(publisher, tmp_path):
    publisher.content = CONTENT
    seen = []
    target = download(
        publisher.address, tmp_path / "set.zip", HASTY, lambda done, total: seen.append((done, total))
    )
    assert target.read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["set.zip"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert publisher.asked == [None]


def test_a_truncated_answer_is_gone_on_with_from_where_it_broke_off(publisher, tmp_path):
    publisher.content, publisher.cut_at = CONTENT, [100_000, 300_000, len(CONTENT)]
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT
    assert publisher.asked == [None, "bytes=100000-", "bytes=300000-"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(publisher, tmp_path):
    publisher.content, publisher.cut_at = CONTENT, [70_000]
    with pytest.raises(DownloadError, match="broke off at 70000 of 512000"):
        download(publisher.address, tmp_path / "set.zip", HASTY)
    assert leftovers(tmp_path) == ["set.zip.part", "set.zip.part.json"]
    publisher.cut_at, publisher.asked[:] = [], []
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT
    assert publisher.asked == ["bytes=70000-"]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(publisher, tmp_path):
    publisher.content, publisher.cut_at = CONTENT, [70_000]
    with pytest.raises(DownloadError):
        download(publisher.address, tmp_path / "set.zip", HASTY)
    publisher.content, publisher.etag, publisher.cut_at = CONTENT[::-1], '"second"', []
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_resumed(publisher, tmp_path, etag):
    publisher.content, publisher.etag, publisher.cut_at = CONTENT, etag, [70_000, len(CONTENT)]
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT
    assert publisher.asked == [None, None]


def test_a_server_that_ignores_ranges_is_read_from_the_beginning(publisher, tmp_path):
    publisher.content, publisher.ranges, publisher.cut_at = CONTENT, False, [70_000, len(CONTENT)]
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT
    assert publisher.asked == [None, "bytes=70000-"]


def test_a_server_that_sends_another_range_is_not_believed(publisher, tmp_path):
    publisher.content, publisher.wrong_range, publisher.cut_at = CONTENT, True, [70_000, len(CONTENT)]
    with pytest.raises(DownloadError, match="another range"):
        download(publisher.address, tmp_path / "set.zip", HASTY)
    assert not (tmp_path / "set.zip").exists()


def test_a_part_that_was_whole_already_needs_no_more_bytes(publisher, tmp_path):
    publisher.content, publisher.cut_at = CONTENT, [len(CONTENT) - 1]
    with pytest.raises(DownloadError):
        download(publisher.address, tmp_path / "set.zip", HASTY)
    with (tmp_path / "set.zip.part").open("ab") as stream:
        stream.write(CONTENT[-1:])
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(publisher, tmp_path):
    publisher.content, publisher.cut_at = CONTENT, [1000]
    with pytest.raises(DownloadError):
        download(publisher.address, tmp_path / "set.zip", HASTY)
    (tmp_path / "set.zip.part").write_bytes(CONTENT + b"more")
    publisher.cut_at = []
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_twice(publisher, tmp_path):
    publisher.statuses = [404, 404]
    with pytest.raises(DownloadError, match=r"HTTP 404.*--from"):
        download(publisher.address, tmp_path / "set.zip", HASTY)
    assert len(publisher.asked) == 1


def test_a_server_in_trouble_is_asked_again(publisher, tmp_path):
    publisher.content, publisher.statuses = CONTENT, [503, 429]
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT
    assert len(publisher.asked) == 3


def test_a_silent_server_is_given_up(publisher, tmp_path):
    publisher.content, publisher.pause_s = CONTENT, 30
    began = time.monotonic()
    with pytest.raises(DownloadError, match="silent"):
        download(publisher.address, tmp_path / "set.zip", HASTY)
    assert time.monotonic() - began < 10
    assert len(publisher.asked) == HASTY.attempts


def test_a_server_that_drips_is_given_up(publisher, tmp_path):
    publisher.content, publisher.drip_s, publisher.ranges = CONTENT, 0.05, False
    with pytest.raises(DownloadError, match="bytes a second"):
        download(publisher.address, tmp_path / "set.zip", Patience(2, 0.01, 5, 0.3, 1000))
    assert not (tmp_path / "set.zip").exists()


def test_an_absurd_length_is_refused(publisher, tmp_path):
    publisher.content = CONTENT
    with pytest.raises(DownloadError, match="claims 512000 bytes"):
        download(publisher.address, tmp_path / "set.zip", Patience(most=1000))


def test_an_answer_without_a_length_that_never_ends_is_cut(publisher, tmp_path):
    publisher.content, publisher.declare_length = CONTENT, False
    with pytest.raises(DownloadError, match="more than any file should hold"):
        download(publisher.address, tmp_path / "set.zip", Patience(most=1000))


def test_an_answer_without_a_length_is_taken_as_it_ends(publisher, tmp_path):
    publisher.content, publisher.declare_length = CONTENT, False
    assert download(publisher.address, tmp_path / "set.zip", HASTY).read_bytes() == CONTENT


def test_nobody_home(publisher, tmp_path):
    with pytest.raises(DownloadError, match="could not be fetched"):
        download("http://127.0.0.1:9/set.zip", tmp_path / "set.zip", HASTY)


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "set.zip"])
def test_only_the_web_is_asked(tmp_path, address):
    with pytest.raises(DownloadError, match="no http or https address"):
        download(address, tmp_path / "set.zip")


@pytest.mark.parametrize("elsewhere", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_a_redirect_out_of_the_web_is_not_followed(publisher, tmp_path, elsewhere):
    publisher.redirect = elsewhere
    with pytest.raises(DownloadError, match=f"[Rr]edirect.*{elsewhere}"):
        download(publisher.address, tmp_path / "set.zip", HASTY)


def test_a_folder_that_cannot_be_written_is_named(publisher, tmp_path):
    publisher.content = CONTENT
    with pytest.raises(DownloadError, match="cannot be written"):
        download(publisher.address, tmp_path / "absent" / "set.zip", HASTY)
