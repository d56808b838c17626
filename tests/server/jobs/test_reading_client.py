"""The reading process as the server uses it: against the real one, and against ones that misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import resources
from io import BytesIO
from pathlib import Path
from struct import pack

import numpy as np
import pytest
import tifffile
from PIL import Image

from leukolens.bundle import load
from leukolens.errors import ServerError
from leukolens.imaging.decode import decode
from leukolens.reading.fields import FieldReader
from leukolens.report.page_pictures import CLOSE_CROP_SIDE, crop
from leukolens.server.jobs.answers import ReadingFailedError
from leukolens.server.jobs.reading_client import ReadingClient, StoppedError
from leukolens.server.settings import MIB, Limits

BUNDLE = Path(str(resources.files("leukolens.bundles").joinpath("default.leukolens")))
READY = "import sys, json, os, time, signal; print('{\"ready\": true}', flush=True); "


@pytest.fixture(scope="module")
def real() -> Iterator[ReadingClient]:
    with ReadingClient(Limits(reading_bytes=3072 * MIB)) as client:
        yield client


@pytest.fixture
def named(tmp_path: Path) -> Callable[[bytes], Path]:
    """Keeps content in a file without a suffix, as the server does."""

    def keep(content: bytes) -> Path:
        path = tmp_path / "abcdef"
        path.write_bytes(content)
        return path

    return keep


def pretending(code: str, **limits: float) -> ReadingClient:
    """A client of a process that is ready, and then does this."""
    return ReadingClient(replace(Limits(), **limits), (sys.executable, "-c", READY + code))  # type: ignore[arg-type]


def test_a_field_is_read_as_in_this_process_and_with_the_report_s_crops(
    real: ReadingClient, named: Callable[[bytes], Path], smears: tuple[bytes, ...]
) -> None:
    path = named(smears[1])
    answer = real.read(path, BUNDLE)
    reader = FieldReader(BUNDLE, threads=1)
    expected = reader.read_one(path)
    assert expected.status == "ok"
    assert replace(answer.field, path=path) == expected
    rgb = decode(smears[1])
    assert answer.crops == tuple(crop(rgb, cell.box, CLOSE_CROP_SIDE) for cell in expected.cells)
    assert (answer.engine, answer.bundle_sha256) == (reader.engine, load(None).sha256)


def _png(width: int, height: int) -> bytes:
    """The head of a PNG that says that it is so large, with a little of its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 10_000)) + chunk(b"IEND", b"")


def _truncated() -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()[:-900]


def _tiff_16_bit() -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(
        buffer, np.zeros((3, 20, 30), np.uint16), photometric="rgb", planarconfig="separate", metadata=None
    )
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (_truncated(), "truncated or damaged"),
        (_tiff_16_bit(), "16-bit colours in separate planes"),
        (_png(30_000, 30_000), "declares"),
        (b"GIF89a/*<svg onload=alert(1)>*/=1;", "its header makes no sense"),
        (b"\xff\xd8\xff<?php system('id') ?>", "its header makes no sense"),
        (b"#!/bin/sh\nid\n", "is no image"),
    ],
    ids=["empty", "truncated JPEG", "16-bit TIFF", "bomb", "GIF and script", "JPEG and script", "script"],
)
def test_a_bad_image_is_a_failed_field_in_the_decoder_s_words_and_costs_no_process(
    real: ReadingClient,
    named: Callable[[bytes], Path],
    content: bytes,
    reason: str,
    smears: tuple[bytes, ...],
) -> None:
    real.read(named(smears[0]), BUNDLE)
    before = real.starts
    answer = real.read(named(content), BUNDLE)
    assert (answer.field.status, answer.crops) == ("failed", ())
    assert reason in (answer.field.reason or "")
    assert real.read(named(smears[0]), BUNDLE).field.status == "ok"
    assert real.starts == before


def test_an_image_with_a_zip_behind_it_is_read_as_the_image_it_is(
    real: ReadingClient, named: Callable[[bytes], Path], smears: tuple[bytes, ...]
) -> None:
    answer = real.read(named(smears[0] + b"PK\x03\x04 and <script>"), BUNDLE)
    assert answer.field.cells == real.read(named(smears[0]), BUNDLE).field.cells


def test_a_file_that_is_gone_is_a_failed_field(real: ReadingClient, tmp_path: Path) -> None:
    assert real.read(tmp_path / "gone", BUNDLE).field.reason == "there is no such file"


def test_a_bundle_that_is_gone_is_told_of_and_the_next_one_is_read(
    real: ReadingClient, named: Callable[[bytes], Path], smears: tuple[bytes, ...], tmp_path: Path
) -> None:
    with pytest.raises(ReadingFailedError, match="cannot be read"):
        real.read(named(smears[0]), tmp_path / "gone.leukolens")
    assert real.read(named(smears[0]), BUNDLE).field.status == "ok"


def test_more_pixels_than_the_server_allows_are_a_failed_field(
    named: Callable[[bytes], Path], smears: tuple[bytes, ...]
) -> None:
    with ReadingClient(Limits(image_pixels=1000)) as client:
        assert "1000 are the limit" in (client.read(named(smears[0]), BUNDLE).field.reason or "")


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux")
def test_an_image_that_needs_more_memory_than_allowed_fails_alone(
    named: Callable[[bytes], Path], smears: tuple[bytes, ...]
) -> None:
    buffer = BytesIO()
    Image.new("RGB", (9000, 9000), (200, 180, 190)).save(buffer, "PNG")
    with ReadingClient(Limits(reading_bytes=1024 * MIB)) as client:
        field = client.read(named(buffer.getvalue()), BUNDLE).field
        assert (field.status, field.reason) == ("failed", "needs more memory than there is")
        assert client.read(named(smears[0]), BUNDLE).field.status == "ok"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_the_process_holds_itself_within_its_limits_and_writes_no_file(tmp_path: Path) -> None:
    code = (
        "import resource; from leukolens.server.jobs.reading_process import hold_within; hold_within(2**31);"
        "sys.stdin.readline(); print(repr((resource.getrlimit(resource.RLIMIT_AS)[0],"
        f"resource.getrlimit(resource.RLIMIT_CORE)[0])), file=open({str(tmp_path / 'told')!r}, 'w'))"
    )
    with pretending(code) as client, pytest.raises(ReadingFailedError, match="ended the process"):
        client.read(tmp_path / "a", BUNDLE)
    assert (tmp_path / "told").read_bytes() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_a_process_whose_server_is_gone_ends_itself_when_its_time_is_over() -> None:
    code = "import time; from leukolens.server.jobs.reading_process import _alarm\nwith _alarm(0.2): time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGALRM


def test_a_field_that_takes_too_long_is_given_up_and_the_process_begun_again(tmp_path: Path) -> None:
    with pretending("sys.stdin.readline(); time.sleep(60)", reading_seconds=0.5) as client:
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(ReadingFailedError, match=r"took longer than 0\.5 seconds"):
                client.read(tmp_path / "a", BUNDLE)
        assert time.monotonic() - began < 30
        assert client.starts == 2


def test_a_process_that_dies_on_an_image_is_asked_once_more(tmp_path: Path) -> None:
    with pretending("sys.stdin.readline(); os.kill(os.getpid(), signal.SIGSEGV)") as client:
        with pytest.raises(ReadingFailedError, match=r"ended the process that read it \(SIGSEGV\)"):
            client.read(tmp_path / "a", BUNDLE)
        assert client.starts == 2


def test_a_process_that_was_ended_by_somebody_else_is_begun_again_unnoticed(
    named: Callable[[bytes], Path], smears: tuple[bytes, ...]
) -> None:
    with ReadingClient(Limits()) as client:
        client.read(named(smears[0]), BUNDLE)
        assert client._process is not None
        os.kill(client._process.pid, 9)
        assert client.read(named(smears[0]), BUNDLE).field.status == "ok"
        assert client.starts == 2


@pytest.mark.parametrize("answer", ["nonsense", "{}", '{\\"field\\": 3}'])
def test_nonsense_is_not_believed_and_the_process_not_kept(tmp_path: Path, answer: str) -> None:
    with pretending(f"[print('{answer}', flush=True) for _ in sys.stdin]") as client:
        with pytest.raises(ReadingFailedError, match="no sensible answer"):
            client.read(tmp_path / "a", BUNDLE)
        assert client._process is None


def test_a_process_that_never_begins_is_the_server_s_trouble_not_the_image_s(tmp_path: Path) -> None:
    for command in (("/no/such/program",), (sys.executable, "-c", "raise SystemExit(3)")):
        with ReadingClient(Limits(), command) as client:
            with pytest.raises(ServerError, match="cannot be started") as caught:
                client.read(tmp_path / "a", BUNDLE)
            assert not isinstance(caught.value, ReadingFailedError)


def test_stopping_ends_a_process_that_is_busy(tmp_path: Path) -> None:
    client = pretending("sys.stdin.readline(); time.sleep(60)")
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            client.read(tmp_path / "a", BUNDLE)
        except StoppedError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while client.starts == 0:
        time.sleep(0.01)
    time.sleep(0.3)
    client.stop()
    thread.join(20)
    client.close()
    assert len(caught) == 1
    with pytest.raises(StoppedError):
        client.read(tmp_path / "a", BUNDLE)


def test_the_process_is_told_nothing_of_the_server_s_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEUKOLENS_DATABASE", "postgresql://user:secret@host/name")
    told = tmp_path / "told"
    code = f"sys.stdin.readline(); open({str(told)!r}, 'w').write(repr(dict(os.environ)))"
    with pretending(code) as client, pytest.raises(ReadingFailedError):
        client.read(tmp_path / "a", BUNDLE)
    assert "PATH" in told.read_text()
    assert "secret" not in told.read_text()
