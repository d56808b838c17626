"""A data set onto this machine: from its publisher or a folder, checked file by file, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leukolens.datasets.base import CellDataset
from leukolens.datasets.download import Patience, Progress, download
from leukolens.datasets.manifest import Entry, manifest
from leukolens.datasets.offers import Offer, offers
from leukolens.errors import DataError, DownloadError

LARGEST_TABLE = 2**20

State = Literal["absent", "incomplete", "present"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What fetching a set came to.

    Attributes:
        folder: Where the set now is.
        files: Files checked against the manifest, by size and sha256.
        size: Their bytes.
        fetched: How many of them were not there before.
        left_out: Files that the source did not have and the set does without, e.g. its licence's text.
    """

    folder: Path
    files: int
    size: int
    fetched: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """What of a set is on this machine, by names and sizes alone.

    Attributes:
        state: *absent*: no folder; *incomplete*: files missing or of another size; *present*: all there.
        there: Files of the right name and size.
        listed: Files that the manifest lists.
    """

    state: State
    there: int
    listed: int


def presence(kind: type[CellDataset], folder: Path) -> Presence:
    """What of this set stands in its folder; reads no content."""
    known = manifest(kind.name)
    fit = {name for name, entry in known.items() if _size(folder / name) == entry.size}
    needed = [name for name in known if _needed(kind, name)]
    state: State = "present" if fit.issuperset(needed) else "incomplete" if folder.is_dir() else "absent"
    return Presence(state, len(fit), len(known))


def fetch(
    kind: type[CellDataset],
    root: Path,
    source: Path | None = None,
    *,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Puts a set below the data root; what is there already and fits stays as it is.

    Args:
        kind: The set's class.
        root: The folder that holds the sets; made where it is not there.
        source: A folder or ZIP archive that has the files under any arrangement; None for the publisher.
        patience: How long to bear the publisher's server.
        progress: Told of bytes downloaded, then of bytes checked.

    Raises:
        DownloadError: Where the publisher wants a login, or does not give the file.
        DataError: Where files are missing, not what the manifest says, or cannot be written.
    """
    known = manifest(kind.name)
    folder, staging = root / kind.name, root / f".{kind.name}.part"
    try:
        missing = _missing(known, folder, keep=True)
        left_out = missing.keys()
        if any(_needed(kind, name) for name in missing):
            if source is None and kind.publication.download is None:
                raise DownloadError(f"{kind.name} cannot be fetched from here", kind.publication.steps)
            staging.mkdir(parents=True, exist_ok=True)
            wanted = _missing(missing, staging, keep=False)
            archive = source or download(
                str(kind.publication.download), root / f".{kind.name}.zip", patience, progress
            )
            try:
                with offers(archive) as found:
                    left_out = _take(kind, wanted, found, staging, progress).keys()
            finally:
                if source is None:
                    archive.unlink(missing_ok=True)
            _complain(kind, left_out, source)
            _install(staging, folder)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read or written ({error.strerror or error})",
            "Free some space or choose another folder, then run this again",
        ) from error
    checked = [entry for name, entry in known.items() if name not in left_out]
    size = sum(entry.size for entry in checked)
    return Fetched(folder, len(checked), size, len(missing) - len(left_out), tuple(sorted(left_out)))


def _missing(listed: Mapping[str, Entry], folder: Path, *, keep: bool) -> dict[str, Entry]:
    """The listed files that the folder lacks; one that differs is an error where it is to be kept."""
    missing = {}
    for name, entry in listed.items():
        path = folder / name
        size = _size(path)
        if size == entry.size and _digest(path.read_bytes()) == entry.sha256:
            continue
        if size is not None and keep:
            raise DataError(
                f"{path} is not the publisher's ({size} bytes; {entry.size} with sha256 {entry.sha256[:12]}… expected)",
                "Move it away, then run this again",
            )
        missing[name] = entry
    return missing


def _take(
    kind: type[CellDataset],
    wanted: Mapping[str, Entry],
    found: Iterable[Offer],
    staging: Path,
    progress: Progress | None,
) -> dict[str, Entry]:
    """Stages every wanted file that some offer fits, by name, by content or by conversion; gives the rest."""
    left = dict(wanted)
    total, done = sum(entry.size for entry in wanted.values()), 0
    for name, content in _fitting(kind, left, list(found)):
        path = staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        done += len(content)
        if progress:
            progress(done, total)
    return left


def _fitting(
    kind: type[CellDataset], left: dict[str, Entry], found: list[Offer]
) -> Iterator[tuple[str, bytes]]:
    """Names with the bytes that fit them, each taken out of ``left``."""
    for offer in found:
        name = _ends_with_listed(offer.name, left)
        if name and offer.size == left[name].size:
            content = offer.read()
            if _digest(content) == left[name].sha256:
                del left[name]
                yield name, content
    sizes = {entry.size for entry in left.values()}
    for offer in found:
        if offer.size in sizes:
            content = offer.read()
            digest = _digest(content)
            for name in [name for name, entry in left.items() if entry.sha256 == digest]:
                del left[name]
                yield name, content
    for name, conversion in kind.conversions.items():
        for offer in found:
            if name in left and Path(offer.name).name == conversion.source and offer.size <= LARGEST_TABLE:
                content = conversion.convert(offer.read())
                if _digest(content) == left[name].sha256:
                    del left[name]
                    yield name, content


def _ends_with_listed(offered: str, listed: Mapping[str, Entry]) -> str | None:
    parts = offered.split("/")
    return next((name for at in range(len(parts)) if (name := "/".join(parts[at:])) in listed), None)


def _complain(kind: type[CellDataset], left_out: Iterable[str], source: Path | None) -> None:
    lacking = sorted(name for name in left_out if _needed(kind, name))
    if lacking:
        raise DataError(
            f"{source or kind.publication.download}: {len(lacking)} files of {kind.name} are missing there or are not "
            f"what the manifest says, the first {lacking[0]}",
            "What did fit is kept for the next try; get another copy and hand it over with --from",
        )


def _install(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.replace(folder)
        return
    for path in [path for path in staging.rglob("*") if path.is_file()]:
        target = folder / path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(staging)


def _needed(kind: type[CellDataset], name: str) -> bool:
    return not name.startswith(kind.optional)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
