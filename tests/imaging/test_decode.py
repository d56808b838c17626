"""Decoding gives the pixels a person would see, or an ImageError that says why not: nothing else."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, TiffImagePlugin

from leukolens.errors import ImageError
from leukolens.imaging.decode import LARGEST_FILE, LARGEST_PIXELS, decode

HEIGHT, WIDTH = 24, 40


def colours(
    height: int = HEIGHT, width: int = WIDTH, channels: int = 3, dtype: str = "u1"
) -> NDArray[np.uint8]:
    """Pixels that differ in every place and channel, so that any turn or swap shows."""
    largest = np.iinfo(dtype).max
    return np.random.default_rng(24).integers(0, largest + 1, (height, width, channels), dtype=dtype)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    stream = BytesIO()
    tifffile.imwrite(stream, pixels, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def smooth_jpeg(**options: object) -> bytes:
    ramp = np.linspace(40, 220, WIDTH)[None, :, None] + np.linspace(-30, 30, HEIGHT)[:, None, None]
    return saved(Image.fromarray(np.repeat(ramp, 3, axis=2).astype(np.uint8)), "JPEG", **options)


def refusal(source: Path | bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(source)
    assert caught.value.reason
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value


# Formats and pixel kinds


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_come_back_to_the_bit(kind: str, options: dict[str, object], tmp_path: Path) -> None:
    pixels = colours()
    content = saved(Image.fromarray(pixels), kind, **options)
    assert np.array_equal(decode(content), pixels)
    path = tmp_path / "bild é 血.dat"
    path.write_bytes(content)
    assert np.array_equal(decode(path), pixels)


def test_a_jpeg_is_what_opencv_makes_of_it(data_root: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    images = sorted((data_root / "blood-cells" / "images" / "TRAIN" / "MONOCYTE").glob("*.jpeg"))[:12]
    assert images
    for path in images:
        oracle = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.abs(decode(path).astype(int) - oracle).max() <= 1


def test_the_result_is_contiguous_uint8() -> None:
    pixels = decode(smooth_jpeg())
    assert (pixels.shape, pixels.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    assert pixels.flags.c_contiguous


def test_grey_becomes_three_equal_channels() -> None:
    grey = colours()[..., 0]
    for kind in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(
            decode(saved(Image.fromarray(grey), kind)), np.repeat(grey[..., None], 3, axis=2)
        )
    jpeg = decode(saved(Image.fromarray(np.full((8, 8), 77, np.uint8)), "JPEG"))
    assert np.array_equal(jpeg, np.full((8, 8, 3), 77))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_is_black_and_white(kind: str) -> None:
    bits = colours()[..., 0] > 127
    expected = np.repeat((bits * 255).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decode(saved(Image.fromarray(bits), kind)), expected)


def test_a_palette_is_looked_up() -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([200, 10, 20, 30, 210, 40, 50, 60, 220])
    palette.putdata([2, 0, 1])
    expected = [[[50, 60, 220], [200, 10, 20], [30, 210, 40]]]
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert decode(saved(palette, kind)).tolist() == expected, kind


def test_transparency_is_laid_on_white() -> None:
    layer = np.zeros((1, 3, 4), np.uint8)
    layer[0, :, 0] = 200
    layer[0, :, 3] = (0, 128, 255)
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        pixels = decode(saved(Image.fromarray(layer, "RGBA"), kind, **options))[0].astype(int)
        assert pixels[0].tolist() == [255, 255, 255], kind
        assert pixels[2].tolist() == [200, 0, 0], kind
        # 200 and 0 over 255 at an opacity of 128 / 255
        assert np.abs(pixels[1] - [227.4, 127, 127]).max() <= 1, kind


def test_grey_and_palette_transparency_is_laid_on_white_too() -> None:
    grey = Image.merge("LA", (Image.new("L", (2, 2), 90), Image.new("L", (2, 2), 0)))
    assert (decode(saved(grey, "PNG")) == 255).all()
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    for kind in ("PNG", "GIF"):
        assert decode(saved(palette, kind, transparency=0)).tolist() == [[[255, 255, 255], [40, 50, 60]]]
    keyed = Image.new("RGB", (1, 1), (9, 9, 9))
    assert decode(saved(keyed, "PNG", transparency=(9, 9, 9))).tolist() == [[[255, 255, 255]]]


def test_cmyk_is_turned_to_rgb() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    black = Image.new("CMYK", (16, 16), (0, 0, 0, 255))
    for kind in ("TIFF", "JPEG"):
        assert np.abs(decode(saved(cyan, kind)).astype(int) - [0, 255, 255]).max() <= 3, kind
        assert decode(saved(black, kind)).max() <= 3, kind


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bit_grey_keeps_its_high_byte(byteorder: str) -> None:
    grey = colours(channels=1, dtype="u2")[..., 0]
    expected = np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decode(tiff(grey, photometric="minisblack", byteorder=byteorder)), expected)
    assert np.array_equal(decode(saved(Image.fromarray(grey), "PNG")), expected)


def test_sixteen_bit_grey_whose_zero_is_white_is_not_shown_as_a_negative() -> None:
    grey = colours(channels=1, dtype="u2")[..., 0]
    expected = 255 - np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decode(tiff(grey, photometric="miniswhite")), expected)


def test_twelve_bit_grey_fills_the_range() -> None:
    # One row of two pixels, 0xfff and 0x800, packed into three bytes (TIFF 6.0, section 8).
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 3}
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x00\0" + directory + bytes(4)
    assert decode(content).tolist() == [[[255] * 3, [128] * 3]]


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"byteorder": ">"}, {"bigtiff": True}]
)
def test_sixteen_bit_colour_tiffs_keep_their_high_bytes(options: dict[str, object]) -> None:
    pixels = colours(dtype="u2")
    assert np.array_equal(decode(tiff(pixels, photometric="rgb", **options)), pixels >> 8)


def test_sixteen_bit_colour_with_alpha() -> None:
    pixels = colours(channels=4, dtype="u2")
    pixels[..., 3] = 65535
    content = tiff(pixels, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(decode(content), pixels[..., :3] >> 8)


def test_sixteen_bit_planes_are_refused_for_pillow_misreads_them() -> None:
    planes = np.moveaxis(colours(dtype="u2"), 2, 0)
    assert "planes" in refusal(tiff(planes, photometric="rgb", planarconfig="separate")).reason
    eight = np.moveaxis(colours(), 2, 0)
    assert np.array_equal(decode(tiff(eight, photometric="rgb", planarconfig="separate")), colours())


@pytest.mark.parametrize("dtype", ["f4", "i4", "u4"])
def test_pixels_without_an_agreed_look_are_refused(dtype: str) -> None:
    assert "8-bit" in refusal(tiff(np.ones((8, 8), dtype), photometric="minisblack")).remedy


# Orientation: what a viewer shows, by an oracle of plain turns


ORIENTED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.rot90(np.fliplr(a), 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.fliplr(a), -1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    image = Image.fromarray(colours())
    exif = Image.Exif()
    exif[274] = orientation
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "TIFF":
        content = saved(image, kind, tiffinfo={274: orientation})
    else:
        content = saved(image, kind, exif=exif, **options)
    plain = decode(saved(image, kind, **options))
    assert np.array_equal(decode(content), ORIENTED[orientation](plain))


@pytest.mark.parametrize(
    "junk", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x02junk"]
)
def test_exif_that_makes_no_sense_does_not_cost_the_image(
    junk: bytes, recwarn: pytest.WarningsRecorder
) -> None:
    assert np.array_equal(decode(smooth_jpeg(exif=junk)), decode(smooth_jpeg()))
    assert not recwarn.list


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_unknown_orientation_is_none(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    assert np.array_equal(decode(smooth_jpeg(exif=exif)), decode(smooth_jpeg()))


# Several pictures in one file


def test_a_tiff_of_several_pages_is_refused() -> None:
    pages = [Image.fromarray(colours()), Image.fromarray(colours()[::-1])]
    error = refusal(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert "several pages" in error.reason
    assert "of its own" in error.remedy


def test_a_tiff_with_a_preview_is_read_by_its_first_page() -> None:
    stream = BytesIO()
    pixels = colours()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(pixels, photometric="rgb")
        writer.write(pixels[::2, ::2], photometric="rgb", subfiletype=1)
        writer.write(pixels[::4, ::4], photometric="rgb", subfiletype=1)
    assert np.array_equal(decode(stream.getvalue()), pixels)


def test_a_tiff_whose_pages_run_in_a_circle_comes_to_an_end() -> None:
    content = bytearray(tiff(colours(), photometric="rgb"))
    start = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, start)[0]
    struct.pack_into("<I", content, start + 2 + 12 * entries, start)
    assert np.array_equal(decode(bytes(content)), colours())


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    assert "several frames" in refusal(saved(frames[0], kind, save_all=True, append_images=frames[1:])).reason


def test_a_photograph_with_a_second_picture_beside_it_is_read() -> None:
    image = Image.fromarray(np.full((16, 16, 3), 130, np.uint8))
    content = saved(image, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")])
    assert np.array_equal(decode(content), np.asarray(image))


# What is no image


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    assert "empty" in refusal(path).reason
    assert str(path) in str(refusal(path))
    assert "empty" in refusal(b"").reason


@pytest.mark.parametrize(
    "content", [b"hello", b"\0" * 400, b"%PDF-1.7\n", b"<svg/>", b"PK\x03\x04", b"P6\n1 1\n255\nabc"]
)
def test_what_is_no_image_says_what_would_be(content: bytes) -> None:
    error = refusal(content)
    assert "no image" in error.reason
    assert "JPEG, PNG" in error.remedy


def test_a_header_alone_is_damaged_not_unknown() -> None:
    for start in (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0\x08\0\0\0",
        b"BM",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
    ):
        assert "damaged" in refusal(start).reason, start


def test_a_folder_a_missing_file_and_an_impossible_name(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path).reason
    assert "no such file" in refusal(tmp_path / "nothing.png").reason
    refusal(tmp_path / ("x" * 5000))
    refusal(Path("bad\0name.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_device_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert "no ordinary file" in refusal(pipe).reason
    assert "no ordinary file" in refusal(Path("/dev/zero")).reason


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(smooth_jpeg())

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", denied)
    error = refusal(path)
    assert "permission" in error.reason
    assert error.path == path


def test_a_failing_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(smooth_jpeg())

    def failing(self: Path) -> bytes:
        raise OSError(5, "Input/output error", str(self))

    monkeypatch.setattr(Path, "read_bytes", failing)
    assert "Input/output error" in refusal(path).reason


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
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
def test_a_decompression_bomb_is_refused_before_it_goes_off(content: bytes) -> None:
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


def test_the_limit_is_on_pixels_not_sides(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_one_pixel(kind: str) -> None:
    assert decode(saved(Image.new("L", (1, 1), 255), kind)).tolist() == [[[255, 255, 255]]]


# Damage: whatever happens to the bytes, an image or an ImageError


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_a_file_cut_in_half_is_refused(kind: str) -> None:
    image = Image.new("RGB", (200, 150), "white")
    ImageDraw.Draw(image).ellipse((30, 20, 150, 130), fill="purple", outline="black")
    content = saved(image, kind)
    assert decode(content).shape == (150, 200, 3)
    assert "damaged" in refusal(content[: len(content) // 2]).reason


def test_a_jpeg_without_its_end_is_refused_at_every_length() -> None:
    content = smooth_jpeg()
    for length in range(len(content)):
        refusal(content[:length])


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
