"""From a file or bytes to the pixels a person would see, or a clear refusal: never a crash, never a guess.

Pillow alone decodes, for training and reading alike. OpenCV gives the same pixels of a 320x240 JPEG a third
of a millisecond sooner, but some versions take truncated files for whole ones, it writes on standard error by
itself, and it misreads TIFFs (transparent, or 16-bit in planes) that Pillow reads right or can be refused.
"""

from __future__ import annotations

import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from leukolens.errors import ImageError

# Image.open would import every plugin there is to find these two.
_LATE_PLUGINS = (TiffImagePlugin, WebPImagePlugin)
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif"})
LARGEST_PIXELS = 100_000_000
LARGEST_FILE = 512 * 2**20

_STARTS = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NEW_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _ORIENTATION, _PLANES = 254, 258, 262, 274, 284
_WHITE_IS_ZERO, _SEPARATE = 0, 2
_REDUCED_OR_MASK = 0b101
_MOST_PAGES = 64

# Pillow warns through the warnings module, whose filters belong to the whole process: they are changed by
# one thread at a time. It also bounds the memory that several large images can take together.
_ONE_AT_A_TIME = threading.Lock()


def decode(source: Path | bytes) -> NDArray[np.uint8]:
    """The image as displayed, as uint8 of shape (height, width, 3) in RGB order.

    EXIF orientation is applied, transparency is laid on white, 16-bit values keep their high byte, and
    colour profiles are not applied. A TIFF's reduced pages (previews, pyramids) are passed over; several
    pages of equal standing, and animations, are refused rather than read in part.

    Args:
        source: A file, or what one holds.

    Raises:
        ImageError: Where there is no such file, it cannot be read, is no image or only a part of one, or
            declares more than ``LARGEST_PIXELS`` pixels (checked before any is decoded).
    """
    path = source if isinstance(source, Path) else None
    content = content_of(source) if isinstance(source, Path) else source
    if not content:
        raise ImageError(path, "the file is empty", "Copy it again from where it came from")
    try:
        with _quiet():
            pixels = _decode(path, content)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(path, "needs more memory than there is", "Make it smaller") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more than 178 million") from error
    except UnidentifiedImageError as error:
        raise _no_image(path, content) from error
    # Decoders answer damaged files with whatever they stumbled over, from KeyError to struct.error.
    except Exception as error:
        raise ImageError(
            path, f"is truncated or damaged ({_first_line(error)})", "Copy or export it again"
        ) from error
    if pixels.size == 0:
        raise ImageError(path, "has no pixels", "Copy or export it again")
    return np.ascontiguousarray(pixels)


def content_of(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageError: Where there is none, it is no ordinary file, or larger than an image may be.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(path, "is a folder", "Name an image file")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(path, "is no ordinary file", "Name an image file")
        if status.st_size > LARGEST_FILE:
            raise ImageError(path, f"has more than {LARGEST_FILE >> 20} MiB", "Name a single photograph")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(path, "there is no such file", "Check the path") from error
    except PermissionError as error:
        raise ImageError(
            path, "may not be read (permission denied)", "Ask its owner for read access"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(path, f"cannot be read ({reason})", "Check the path and the disk") from error


@contextmanager
def _quiet() -> Iterator[None]:
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(path: Path | None, content: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        _check_size(path, *image.size)
        _check_pages(path, image)
        _check_planes(path, image)
        image.load()
        pixels = _rgb(path, image)
        return _upright(pixels, _orientation(image))


def _check_size(path: Path | None, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(path, "has no pixels", "Copy or export it again")
    if width * height > LARGEST_PIXELS:
        raise _too_large(path, f"{width} x {height}")


def _too_large(path: Path | None, declared: str) -> ImageError:
    limit = f"{LARGEST_PIXELS // 1_000_000} million are the limit"
    return ImageError(path, f"declares {declared} pixels; {limit}", "Cut it into fields or make it smaller")


def _no_image(path: Path | None, content: bytes) -> ImageError:
    if content.startswith(_STARTS):
        problem = "is truncated, damaged or of an unusual kind (its header makes no sense)"
        return ImageError(path, problem, "Copy it again, or export it as 8-bit RGB")
    return ImageError(path, "is no image that can be read", "Use JPEG, PNG, TIFF, BMP, WebP or GIF")


def _check_pages(path: Path | None, image: Image.Image) -> None:
    """Refuses several pictures in one file; what stands beside a JPEG (MPO) is a preview or a gain map."""
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return
    if image.format == "TIFF":
        for page in range(1, _MOST_PAGES):
            try:
                image.seek(page)
            except EOFError:
                image.seek(0)
                return
            if not image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED_OR_MASK:  # type: ignore[attr-defined]
                break
    what = "pages" if image.format == "TIFF" else "frames"
    raise ImageError(path, f"holds several {what}", f"Save each of its {what} as an image of its own")


def _check_planes(path: Path | None, image: Image.Image) -> None:
    """Refuses what Pillow reads wrongly without saying so (version 13 still does)."""
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = tags.get(_BITS, (1,))
    if len(bits) > 1 and max(bits) > 8 and tags.get(_PLANES) == _SEPARATE:
        problem = f"stores {max(bits)}-bit colours in separate planes, which is not read"
        raise ImageError(path, problem, "Save it with interleaved channels, or as 8-bit RGB")


def _rgb(path: Path | None, image: Image.Image) -> NDArray[np.uint8]:
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    # Before Pillow 11, 16-bit grey PNGs came as 32-bit integers.
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):
        return _from_16_bit_grey(image)
    if mode in {"I", "F", "LAB"}:
        kind = {"I": "32-bit", "F": "floating-point", "LAB": "L*a*b*"}[mode]
        raise ImageError(path, f"has {kind} pixels, which have no agreed look", "Export it as 8-bit RGB")
    if "transparency" in image.info or mode in {"RGBA", "LA", "PA", "RGBa", "La"}:
        layer = image.convert("LA" if mode == "La" else mode).convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(ground, layer).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _from_16_bit_grey(image: Image.Image) -> NDArray[np.uint8]:
    bits, white_is_zero = 16, False
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits, white_is_zero = int(tags[_BITS][0]), tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    high = np.clip(np.asarray(image).astype(np.int64) >> (bits - 8), 0, 255).astype(np.uint8)
    return np.repeat((255 - high if white_is_zero else high)[..., None], 3, axis=2)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation still to be applied, 1 to 8 (Pillow itself turns TIFFs on loading)."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    # EXIF that makes no sense says nothing about how to hold the image; its pixels are still good.
    except Exception:
        return 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Applies an EXIF orientation (CIPA DC-008, tag 274)."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0].strip()
    return text[:120] if text else type(error).__name__
