"""Decoding an image gives the pixels that a person would see: every format, pixel kind and turn."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from encoded import HEIGHT, WIDTH, Refusal, colours, saved, smooth_jpeg, tiff
from PIL import Image

from leukolens.imaging.decode import decode

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


def test_sixteen_bit_planes_are_refused_for_pillow_misreads_them(refusal: Refusal) -> None:
    planes = np.moveaxis(colours(dtype="u2"), 2, 0)
    assert "planes" in refusal(tiff(planes, photometric="rgb", planarconfig="separate")).reason
    eight = np.moveaxis(colours(), 2, 0)
    assert np.array_equal(decode(tiff(eight, photometric="rgb", planarconfig="separate")), colours())


@pytest.mark.parametrize("dtype", ["f4", "i4", "u4"])
def test_pixels_without_an_agreed_look_are_refused(dtype: str, refusal: Refusal) -> None:
    assert "8-bit" in refusal(tiff(np.ones((8, 8), dtype), photometric="minisblack")).remedy


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_one_pixel(kind: str) -> None:
    assert decode(saved(Image.new("L", (1, 1), 255), kind)).tolist() == [[[255, 255, 255]]]


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


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_unknown_orientation_is_none(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    assert np.array_equal(decode(smooth_jpeg(exif=exif)), decode(smooth_jpeg()))


# Several pictures in one file


def test_a_tiff_of_several_pages_is_refused(refusal: Refusal) -> None:
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


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_are_refused(kind: str, refusal: Refusal) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    assert "several frames" in refusal(saved(frames[0], kind, save_all=True, append_images=frames[1:])).reason


def test_a_photograph_with_a_second_picture_beside_it_is_read() -> None:
    image = Image.fromarray(np.full((16, 16, 3), 130, np.uint8))
    content = saved(image, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")])
    assert np.array_equal(decode(content), np.asarray(image))
