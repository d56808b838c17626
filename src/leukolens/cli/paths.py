"""From the paths on a command line to the images they mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from leukolens.errors import LeukolensError


@dataclass(slots=True)
class Found:
    """The images that some paths mean.

    Attributes:
        images: In the order of the paths, a folder's own sorted by name; as text, which for a million
            images takes a third of what paths do.
        unreadable: Folders below the named ones that could not be listed, with the reason.
    """

    images: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def find_images(paths: list[Path], suffixes: frozenset[str], *, recursive: bool = False) -> Found:
    """Expands folders; a path that is no folder is taken as it is, whether it is there or not.

    Hidden files and folders are passed over. Links are followed, but no folder is entered twice, so a
    link that leads back up comes to an end.

    Args:
        paths: Files and folders.
        suffixes: What counts as an image in a folder, lower case with the dot.
        recursive: Whether to go into the folders of a folder.

    Raises:
        LeukolensError: Where a named folder cannot be listed or holds no image.
    """
    found = Found()
    for path in paths:
        if not _is_folder(path):
            found.images.append(str(path))
            continue
        before = len(found.images)
        found.images.extend(_below(str(path), suffixes, recursive, found, seen=set()))
        if found.unreadable and found.unreadable[-1][0] == str(path):
            raise LeukolensError(
                f"{path} cannot be listed ({found.unreadable[-1][1]})", "Ask for access to it"
            )
        if len(found.images) == before:
            deeper = "" if recursive else ", or add --recursive to look into its folders"
            raise LeukolensError(
                f"{path} holds no image ({', '.join(sorted(suffixes))})", f"Name a folder that does{deeper}"
            )
    return found


def _below(
    folder: str, suffixes: frozenset[str], recursive: bool, found: Found, seen: set[tuple[int, int]]
) -> Iterator[str]:
    """The images of a folder, then those of its folders, each sorted by name."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            status = Path(current).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as listing:
                entries = sorted(
                    (entry.name, _is_folder(entry)) for entry in listing if not entry.name.startswith(".")
                )
        except OSError as error:
            found.unreadable.append((current, error.strerror or str(error)))
            continue
        for name, is_folder in entries:
            if not is_folder and PurePath(name).suffix.lower() in suffixes:
                yield str(Path(current, name))
        if recursive:
            waiting.extend(str(Path(current, name)) for name, is_folder in reversed(entries) if is_folder)


def _is_folder(path: Path | os.DirEntry[str]) -> bool:
    """Whether it is one; what cannot be looked at, a link to itself for one, is left to whoever opens it."""
    try:
        return path.is_dir()
    except OSError:
        return False
