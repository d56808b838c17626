"""Which of the paths on a command line form which sample."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from leukolens.cli.paths import find_images
from leukolens.errors import LeukolensError

LOOSE = "sample"
LONGEST_NAME = 120  # bytes; a number and a suffix are still to come, and 255 are the limit

# What no file system, or only some, takes in a name (Microsoft, "Naming Files, Paths, and Namespaces").
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sample:
    """The fields of one smear.

    Attributes:
        name: What it is called; a file name on every system, and no other sample's.
        images: Its fields' images, in reading order, each once.
        unreadable: Folders of it that could not be listed, with the reason.
    """

    name: str
    images: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        """How many fields it has, as far as one can see."""
        return len(self.images) + len(self.unreadable)


def find_samples(
    paths: Iterable[Path],
    suffixes: frozenset[str],
    *,
    recursive: bool = False,
    name: str | None = None,
    taken: Iterable[str] = (),
) -> list[Sample]:
    """Parts paths into samples.

    A folder is a sample of its own name. One that holds no image itself, but folders that do, is a folder
    of samples: each of those is one. All paths that are no folders are one sample together.

    Args:
        paths: Files and folders.
        suffixes: What counts as an image in a folder, lower case with the dot.
        recursive: Whether a sample's images may lie in folders below its own.
        name: What the loose files' sample is called, or the only one; ``sample`` by default.
        taken: Names that no sample may have.

    Raises:
        LeukolensError: Where a folder cannot be listed or holds no image, or ``name`` could mean several.
    """
    loose: list[str] = []
    found: list[Sample] = []
    place, entered = None, set()
    for path in paths:
        if not _is_folder(path):
            if place is None:
                place = len(found)
                found.append(Sample(LOOSE, ()))
            loose.append(str(path))
        elif (real := os.path.realpath(path)) not in entered:
            entered.add(real)
            found.extend(_in_folder(path, suffixes, recursive))
    if place is not None:
        found[place] = Sample(LOOSE, _each_once(loose))
    if name is not None:
        if place is None and len(found) != 1:
            raise LeukolensError(
                f"--name {name!r} is for one sample, and here are {len(found)}",
                "Name one folder, or give the folders the names that the samples should have",
            )
        found[place or 0] = replace(found[place or 0], name=name)
    return _told_apart(found, taken)


def _in_folder(folder: Path, suffixes: frozenset[str], recursive: bool) -> list[Sample]:
    try:
        has_images, inside = _look_into(folder, suffixes)
    except OSError as error:
        raise LeukolensError(
            f"{folder} cannot be listed ({error.strerror})", "Ask for access to it"
        ) from error
    if not has_images:
        samples = [sample for below in inside for sample in _below(below, suffixes, recursive)]
        if any(sample.images for sample in samples):
            return samples
    return [_of_folder(folder, suffixes, recursive)]


def _below(folder: Path, suffixes: frozenset[str], recursive: bool) -> list[Sample]:
    """The sample of a folder in a folder of samples; none where it holds no image."""
    try:
        has_images, inside = _look_into(folder, suffixes)
    except OSError as error:
        return [Sample(folder.name, (), ((str(folder), error.strerror or str(error)),))]
    if not has_images and not (recursive and inside):
        return []
    try:
        return [_of_folder(folder, suffixes, recursive)]
    except LeukolensError:
        # It can be listed, so all that can be wrong is that no folder below holds an image either.
        return []


def _of_folder(folder: Path, suffixes: frozenset[str], recursive: bool) -> Sample:
    listed = find_images([folder], suffixes, recursive=recursive)
    # "." has no name, and ".." none of its own.
    name = folder.name if folder.name not in {"", ".."} else folder.resolve().name
    return Sample(name, tuple(listed.images), tuple(listed.unreadable))


def _look_into(folder: Path, suffixes: frozenset[str]) -> tuple[bool, list[Path]]:
    """Whether a folder holds images itself, and its folders by name."""
    has_images, inside = False, []
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                inside.append(folder / entry.name)
            elif PurePath(entry.name).suffix.lower() in suffixes:
                has_images = True
    return has_images, sorted(inside)


def _is_folder(path: Path | os.DirEntry[str]) -> bool:
    """Whether it is one; what cannot be looked at, a link to itself for one, is left to whoever opens it."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _each_once(images: list[str]) -> tuple[str, ...]:
    """The same file named twice is one field."""
    files: dict[str, str] = {}
    for image in images:
        files.setdefault(os.path.realpath(image), image)
    return tuple(files.values())


def _told_apart(samples: list[Sample], taken: Iterable[str]) -> list[Sample]:
    """The samples with names of their own: the second *a* is *a-2*.

    Capitals, and how an accent is spelt, tell nothing apart on some file systems.
    """
    used = {_same(name) for name in taken}
    apart = []
    for sample in samples:
        first = name = file_name(sample.name)
        number = 1
        while _same(name) in used:
            number += 1
            name = f"{first}-{number}"
        used.add(_same(name))
        apart.append(replace(sample, name=name))
    return apart


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def file_name(text: str) -> str:
    """The text as a file name that every system takes and that shows; ``sample`` where nothing is left of it."""
    shown = "".join(letter if letter.isprintable() else "_" for letter in text)
    short = _FORBIDDEN.sub("_", shown).strip(". ").encode()[:LONGEST_NAME].decode(errors="ignore")
    name = short.rstrip(". ")
    return f"{name}_" if _DEVICES.match(name) else name or LOOSE
