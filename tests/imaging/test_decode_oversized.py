"""What is too large is refused before it costs memory or time, and what is just not too large is read in silence."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from encoded import HEIGHT, WIDTH, Refusal, saved, smooth_jpeg, tiff
from PIL import Image, TiffImagePlugin

from leukolens.imaging.decode import LARGEST_FILE, LARGEST_PIXELS, decode


def test_a_huge_file_is_refused_unread(tmp_path: Path, refusal: Refusal) -> None:
    path = tmp_path / "huge.tif"
    with path.open("wb") as stream:
        stream.truncate(LARGEST_FILE + 1)
    tracemalloc.start()
    assert "MiB" in refusal(path).reason
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


# Bombs: many declared pixels, few bytes


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def jpeg_header(width: int, height: int) -> bytes:
    content = bytearray(smooth_jpeg())
    start = content.index(b"\xff\xc0")
    struct.pack_into(">HH", content, start + 5, height, width)
    return bytes(content)


def bmp_header(width: int, height: int) -> bytes:
    content = bytearray(saved(Image.new("RGB", (4, 4)), "BMP"))
    struct.pack_into("<ii", content, 18, width, height)
    return bytes(content)


def gif_header(width: int, height: int) -> bytes:
    content = bytearray(saved(Image.new("P", (4, 4)), "GIF"))
    struct.pack_into("<HH", content, 6, width, height)
    return bytes(content)


def tiff_header(width: int, height: int) -> bytes:
    content = tiff(np.zeros((4, 4, 3), np.uint8), photometric="rgb")
    directory = TiffImagePlugin.ImageFileDirectory_v2(content[:8])
    start = directory.next
    changed = bytearray(content)
    for entry in range(struct.unpack_from("<H", content, start)[0]):
        where = start + 2 + 12 * entry
        tag = struct.unpack_from("<H", content, where)[0]
        if tag in {256, 257}:
            struct.pack_into("<HHII", changed, where, tag, 4, 1, width if tag == 256 else height)
    return bytes(changed)


def webp_header(width: int, height: int) -> bytes:
    lossless = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(15)
    return (
        b"RIFF"
        + struct.pack("<I", len(lossless) + 12)
        + b"WEBPVP8L"
        + struct.pack("<I", len(lossless))
        + lossless
    )


@pytest.mark.parametrize(
    "content",
    [
        png_header(100_000, 100_000),
        tiff_header(100_000, 100_000),
        bmp_header(100_000, 100_000),
        jpeg_header(65_500, 65_500),
        gif_header(65_535, 65_535),
        webp_header(16_383, 16_383),
        png_header(12_000, 10_000),
        jpeg_header(12_000, 10_000),
        tiff_header(12_000, 10_000),
    ],
    ids=["png", "tiff", "bmp", "jpeg", "gif", "webp", "png-120MP", "jpeg-120MP", "tiff-120MP"],
)
def test_a_decompression_bomb_is_refused_before_it_goes_off(content: bytes, refusal: Refusal) -> None:
    tracemalloc.start()
    started = time.perf_counter()
    error = refusal(content)
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "pixels" in error.reason or "damaged" in error.reason
    assert peak < 4 * 2**20
    assert seconds < 1


def test_a_bomb_costs_the_process_little_memory(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    assert resource
    for name, content in (("a.png", png_header(100_000, 100_000)), ("b.webp", webp_header(16_383, 16_383))):
        (tmp_path / name).write_bytes(content)
    program = """
import resource, sys
from pathlib import Path
from leukolens.errors import ImageError
from leukolens.imaging.decode import decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    try:
        decode(Path(name))
    except ImageError:
        continue
    raise SystemExit("decoded")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.png"), str(tmp_path / "b.webp")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 64 * 1024  # KiB
    assert done.stderr == ""


# The limit


def test_the_limit_is_on_pixels_not_sides(monkeypatch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    assert decode(saved(Image.new("L", (30_000, 2), 9), "PNG")).shape == (2, 30_000, 3)
    assert LARGEST_PIXELS == 100_000_000
    monkeypatch.setattr("leukolens.imaging.decode.LARGEST_PIXELS", HEIGHT * WIDTH - 1)
    assert f"{WIDTH} x {HEIGHT}" in refusal(smooth_jpeg()).reason
    monkeypatch.setattr("leukolens.imaging.decode.LARGEST_PIXELS", HEIGHT * WIDTH)
    assert decode(smooth_jpeg()).shape == (HEIGHT, WIDTH, 3)


def test_no_warning_leaks_for_a_large_image(
    recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)  # Pillow warns above it, and refuses above twice it
    assert decode(smooth_jpeg()).shape == (HEIGHT, WIDTH, 3)
    assert not recwarn.list
