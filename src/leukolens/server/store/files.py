"""Images and bundles in a folder, each under the digest of its own content: what is there is whole."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from leukolens.errors import Missing, ServerError, Unfit

Kind = Literal["images", "bundles"]
KINDS: tuple[Kind, ...] = ("images", "bundles")
CHUNK = 2**20
FULL = (errno.ENOSPC, errno.EDQUOT)
OURS_ALONE = 0o700  # pictures of patients' blood: nobody else of this machine looks at them


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that lies in the folder.

    Attributes:
        sha256: Of its content, in hexadecimal: what it is asked for by.
        bytes: How many it has.
    """

    sha256: str
    bytes: int


class Files:
    """The files of a server: ``images/ab/abcd...`` and ``bundles/ab/abcd...``.

    A file comes into its place complete and on the disk, or not at all. What is there twice lies there once.

    Args:
        folder: The server's; made where it is not there.

    Raises:
        ServerError: Where it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with telling(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=OURS_ALONE)
            for name in (*KINDS, "incoming"):
                (folder / name).mkdir(exist_ok=True, mode=OURS_ALONE)

    def put(self, stream: BinaryIO, limit: int, kind: Kind = "images") -> Kept:
        """Keeps what the stream gives, to its end.

        Args:
            stream: To read from.
            limit: Bytes that it may have.
            kind: Where to.

        Raises:
            Unfit: Where it has more bytes than that.
            ServerError: Where the disk is full, or cannot be written to.
        """
        with self.copied(stream, limit) as (part, kept):
            place = self._place(kind, kept.sha256)
            with telling(self.folder):
                if not place.parent.is_dir():
                    place.parent.mkdir(parents=True, exist_ok=True, mode=OURS_ALONE)
                    sync_folder(place.parent.parent)
                part.replace(place)  # over one that is there too: had that been damaged, it no longer is
                sync_folder(place.parent)
        return kept

    @contextmanager
    def copied(self, stream: BinaryIO, limit: int) -> Iterator[tuple[Path, Kept]]:
        """A copy of what the stream gives, on the disk; gone in the end, unless it was moved to another place.

        Args:
            stream: To read from.
            limit: Bytes that it may have.

        Raises:
            Unfit: Where it has more bytes than that.
            ServerError: Where the disk is full, or cannot be written to.
        """
        # Chance names it: two may come at once, and no name of a client's ever reaches the disk.
        part = self.folder / "incoming" / f"{secrets.token_hex(16)}.part"
        try:
            with telling(self.folder), part.open("xb") as out:
                kept = _copy(stream, out, limit)
                out.flush()
                os.fsync(out.fileno())
            yield part, kept
        finally:
            part.unlink(missing_ok=True)

    def put_bundle(self, path: Path) -> str:
        """Keeps a copy of a bundle's file.

        Returns:
            Its sha256.

        Raises:
            ServerError: Where it cannot be read, or the copy not be written.
        """
        try:
            with path.open("rb") as stream:
                return self.put(stream, os.fstat(stream.fileno()).st_size, "bundles").sha256
        except OSError as error:
            raise ServerError(f"{path} cannot be read ({error.strerror})", "Name a bundle's file") from error

    def path(self, sha256: str) -> Path:
        """Where an image lies, or would.

        Raises:
            Missing: Where that is no digest, and so the name of nothing.
        """
        return self._place("images", sha256)

    def bundle(self, sha256: str) -> Path:
        """Where a bundle lies, or would.

        Raises:
            Missing: Where that is no digest.
        """
        return self._place("bundles", sha256)

    def has(self, sha256: str, kind: Kind = "images") -> bool:
        """Whether there is a file of that digest."""
        return self._place(kind, sha256).is_file()

    def open(self, sha256: str, kind: Kind = "images") -> BinaryIO:
        """The file, to read from.

        Raises:
            Missing: Where it is not there.
            ServerError: Where it cannot be read.
        """
        try:
            return self._place(kind, sha256).open("rb")
        except FileNotFoundError as error:
            raise Missing(f"there is no file {sha256[:12]} among the {kind}", "Restore a backup") from error
        except OSError as error:
            raise ServerError(
                f"the file {sha256[:12]} cannot be read ({error.strerror})", "Check the server's folder"
            ) from error

    def verify(self, sha256: str, kind: Kind = "images") -> Kept:
        """Reads a file and checks that it holds what was put there.

        Raises:
            Missing: Where it is not there.
            ServerError: Where it holds something else, or cannot be read.
        """
        with self.open(sha256, kind) as stream:
            try:
                found = _copy(stream, None, None)
            except OSError as error:
                raise ServerError(
                    f"the file {sha256[:12]} cannot be read ({error.strerror})", "Check the disk"
                ) from error
        if found.sha256 != sha256:
            raise ServerError(
                f"the file {sha256[:12]} among the {kind} is damaged", "Restore it from a backup"
            )
        return found

    def remove(self, sha256: str, kind: Kind = "images") -> None:
        """Takes a file away for good; nothing where it is not there.

        Raises:
            ServerError: Where it cannot be taken away.
        """
        place = self._place(kind, sha256)
        with telling(self.folder):
            if place.exists():
                place.unlink(missing_ok=True)
                sync_folder(place.parent)

    def all(self, kind: Kind = "images") -> Iterator[str]:
        """The sha256 of every file, in order."""
        for shelf in sorted((self.folder / kind).iterdir()):
            yield from sorted(entry.name for entry in shelf.iterdir())

    def _place(self, kind: Kind, sha256: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise Missing(f"there are no {kind} of that name", "Ask for one by its sha256")
        return self.folder / kind / sha256[:2] / sha256


def sync_folder(folder: Path) -> None:
    """Brings a folder's list of names onto the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(stream: BinaryIO, out: BinaryIO | None, limit: int | None) -> Kept:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if limit is not None and size > limit:
            raise Unfit(f"a file has more than {limit} bytes", "Send a smaller one")
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
    return Kept(digest.hexdigest(), size)


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Says in words what the disk does not let be done in a server's folder.

    Raises:
        ServerError: In the place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ServerError(f"the disk of {folder} is full", "Free some space and try again") from error
        raise ServerError(
            f"{folder} cannot be written to ({error.strerror or error})", "Check its permissions and its disk"
        ) from error
