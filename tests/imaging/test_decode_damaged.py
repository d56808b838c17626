"""Whatever is no image, not whole or out of reach gives an image or an ImageError that says why: nothing else."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from encoded import Refusal, colours, saved, smooth_jpeg, tiff
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from leukolens.errors import ImageError
from leukolens.imaging.decode import LARGEST_PIXELS, decode

# What is no image


def test_an_empty_file(tmp_path: Path, refusal: Refusal) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    assert "empty" in refusal(path).reason
    assert str(path) in str(refusal(path))
    assert "empty" in refusal(b"").reason


@pytest.mark.parametrize(
    "content", [b"hello", b"\0" * 400, b"%PDF-1.7\n", b"<svg/>", b"PK\x03\x04", b"P6\n1 1\n255\nabc"]
)
def test_what_is_no_image_says_what_would_be(content: bytes, refusal: Refusal) -> None:
    error = refusal(content)
    assert "no image" in error.reason
    assert "JPEG, PNG" in error.remedy


def test_a_header_alone_is_damaged_not_unknown(refusal: Refusal) -> None:
    for start in (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0\x08\0\0\0",
        b"BM",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
    ):
        assert "damaged" in refusal(start).reason, start


def test_a_folder_a_missing_file_and_an_impossible_name(tmp_path: Path, refusal: Refusal) -> None:
    assert "folder" in refusal(tmp_path).reason
    assert "no such file" in refusal(tmp_path / "nothing.png").reason
    refusal(tmp_path / ("x" * 5000))
    refusal(Path("bad\0name.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_device_is_refused_at_once(tmp_path: Path, refusal: Refusal) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert "no ordinary file" in refusal(pipe).reason
    assert "no ordinary file" in refusal(Path("/dev/zero")).reason


def test_a_file_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(smooth_jpeg())

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", denied)
    error = refusal(path)
    assert "permission" in error.reason
    assert error.path == path


def test_a_failing_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(smooth_jpeg())

    def failing(self: Path) -> bytes:
        raise OSError(5, "Input/output error", str(self))

    monkeypatch.setattr(Path, "read_bytes", failing)
    assert "Input/output error" in refusal(path).reason


# Damage: whatever happens to the bytes, an image or an ImageError


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_a_file_cut_in_half_is_refused(kind: str, refusal: Refusal) -> None:
    image = Image.new("RGB", (200, 150), "white")
    ImageDraw.Draw(image).ellipse((30, 20, 150, 130), fill="purple", outline="black")
    content = saved(image, kind)
    assert decode(content).shape == (150, 200, 3)
    assert "damaged" in refusal(content[: len(content) // 2]).reason


def test_a_jpeg_without_its_end_is_refused_at_every_length(refusal: Refusal) -> None:
    content = smooth_jpeg()
    for length in range(len(content)):
        refusal(content[:length])


@pytest.mark.parametrize(
    "junk", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x02junk"]
)
def test_exif_that_makes_no_sense_does_not_cost_the_image(
    junk: bytes, recwarn: pytest.WarningsRecorder
) -> None:
    assert np.array_equal(decode(smooth_jpeg(exif=junk)), decode(smooth_jpeg()))
    assert not recwarn.list


def test_a_tiff_whose_pages_run_in_a_circle_comes_to_an_end() -> None:
    content = bytearray(tiff(colours(), photometric="rgb"))
    start = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, start)[0]
    struct.pack_into("<I", content, start + 2 + 12 * entries, start)
    assert np.array_equal(decode(bytes(content)), colours())


ORIGINALS = {
    "jpeg": smooth_jpeg(),
    "progressive": smooth_jpeg(progressive=True),
    "png": saved(Image.fromarray(colours()), "PNG"),
    "palette": saved(Image.fromarray(colours()).quantize(16), "PNG"),
    "tiff": tiff(colours(dtype="u2"), photometric="rgb"),
    "lzw": saved(Image.fromarray(colours()), "TIFF", compression="tiff_lzw"),
    "bmp": saved(Image.fromarray(colours()), "BMP"),
    "gif": saved(Image.fromarray(colours()).quantize(16), "GIF"),
    "webp": saved(Image.fromarray(colours()), "WEBP"),
}


def decoded_or_refused(content: bytes) -> None:
    try:
        pixels = decode(content)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 0 < pixels.shape[0] * pixels.shape[1] <= LARGEST_PIXELS


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=300), start=st.sampled_from([b"", *(c[:30] for c in ORIGINALS.values())]))
def test_random_bytes(content: bytes, start: bytes) -> None:
    decoded_or_refused(start + content)


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(sorted(ORIGINALS)), data=st.data())
def test_flipped_bits(name: str, data: st.DataObject) -> None:
    content = bytearray(ORIGINALS[name])
    flips = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 7))
    for place, bit in data.draw(st.lists(flips, min_size=1, max_size=6)):
        content[place] ^= 1 << bit
    decoded_or_refused(bytes(content))


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(ORIGINALS)), data=st.data())
def test_cut_and_spliced(name: str, data: st.DataObject) -> None:
    content = ORIGINALS[name]
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    decoded_or_refused(content[:start] + data.draw(st.binary(max_size=20)) + content[end:])


def test_damaged_files_write_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(5)
    for name in ("jpeg", "progressive", "png", "palette", "bmp", "gif", "webp"):  # libtiff speaks for itself
        content = ORIGINALS[name]
        for _ in range(20):
            damaged = bytearray(content)
            damaged[int(rng.integers(len(damaged) // 3, len(damaged)))] ^= 255
            decoded_or_refused(bytes(damaged))
    assert capfd.readouterr().err == ""
