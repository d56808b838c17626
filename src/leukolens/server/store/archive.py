"""A backup's file: a ZIP of rows, files, and a manifest that says what both must be."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leukolens.errors import ServerError
from leukolens.server.store.files import FULL, Kind, sync_folder

SCHEMA: Literal["leukolens.backup.manifest/1"] = "leukolens.backup.manifest/1"
MANIFEST, MANIFEST_SHA256 = "manifest.json", "manifest.sha256"
LARGEST_MANIFEST = 2**30
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    KeyError,
    ValueError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
"""What `zipfile` answers a file with that is damaged, encrypted or packed in a way that it does not know."""


class DamagedError(Exception):
    """A backup is not what was written; says what of it."""


class Part(BaseModel):
    """What the manifest says of a table or a file."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Rows(Part):
    """A table's rows, in ``rows/NAME.jsonl``."""

    table: str
    rows: int
    sha256: str

    @property
    def member(self) -> str:
        """Its name in the ZIP."""
        return f"rows/{self.table}.jsonl"


class File(Part):
    """An image or a bundle, in ``files/KIND/SHA256``."""

    kind: Kind
    sha256: str
    bytes: int

    @property
    def member(self) -> str:
        """Its name in the ZIP."""
        return file_member(self.kind, self.sha256)


class Manifest(Part):
    """What a backup holds."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    schema_: Literal["leukolens.backup.manifest/1"] = Field(alias="schema", default=SCHEMA)
    leukolens: str
    made: str
    revision: str
    trail_hash: str
    tables: tuple[Rows, ...]
    files: tuple[File, ...]
    lost: tuple[str, ...]


def file_member(kind: Kind, sha256: str) -> str:
    """What an image or a bundle is called in the ZIP."""
    return f"files/{kind}/{sha256}"


class Writer:
    """Puts members into a backup, and hashes them on the way."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextmanager
    def member(self, name: str, *, packed: bool) -> Iterator[Hashing]:
        """A new member, to write to; packed where it is text."""
        about = zipfile.ZipInfo(name)
        about.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        about.external_attr = 0o600 << 16
        with self._archive.open(about, "w", force_zip64=True) as stream:
            yield Hashing(stream)

    def close(self, manifest: Manifest) -> None:
        """Writes what all of it must be; the last of a backup."""
        content = manifest.model_dump_json(by_alias=True, indent=1).encode()
        for name, text in ((MANIFEST, content), (MANIFEST_SHA256, _sha256(content).encode())):
            with self.member(name, packed=True) as stream:
                stream.write(text)


class Hashing:
    """A stream to write to, or lines to read, whose sha256 and length are known at the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Of what has passed."""
        return self._digest.hexdigest()

    def write(self, content: bytes) -> None:
        """Passes it on."""
        self._note(content)
        self._stream.write(content)

    def lines(self) -> Iterator[bytes]:
        """Every line there is."""
        for line in self._stream:
            self._note(line)
            yield line

    def _note(self, content: bytes) -> None:
        self._digest.update(content)
        self.bytes += len(content)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A new backup at this path, which appears there when it is complete.

    Raises:
        ServerError: Where it cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)  # it holds patients' identifiers
        with part.open("r+b") as stream:
            with zipfile.ZipFile(stream, "w") as archive:
                yield Writer(archive)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        why = "the disk is full" if error.errno in FULL else error.strerror
        raise ServerError(
            f"the backup {path} cannot be written ({why})", "Free some space or name another file"
        ) from error
    finally:
        part.unlink(missing_ok=True)


class Source:
    """A backup's members, to read from; whatever is wrong with them is a `DamagedError`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextmanager
    def open(self, member: str) -> Iterator[Member]:
        """A member's bytes.

        Raises:
            DamagedError: Where there is none of that name, or it cannot be read.
        """
        with _telling_damage():
            stream = self._archive.open(member)
        with stream:
            yield Member(stream)

    def read(self, member: str, largest: int) -> bytes:
        """All of a member.

        Raises:
            DamagedError: Likewise, and where it has more bytes than that.
        """
        with self.open(member) as stream:
            content = stream.read(largest + 1)
        if len(content) > largest:
            raise DamagedError(f"its {member} is too large")
        return content


class Member(io.RawIOBase):
    """A member's bytes, unpacked."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """As any stream's.

        Raises:
            DamagedError: Where it cannot be unpacked.
        """
        view = memoryview(buffer)
        with _telling_damage():
            piece = self._stream.read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def read(self, size: int = -1, /) -> bytes:
        """As any stream's.

        Raises:
            DamagedError: Where it cannot be unpacked.
        """
        with _telling_damage():
            return self._stream.read(size)


@contextmanager
def _telling_damage() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DamagedError(f"it cannot be read to its end: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise DamagedError(str(error) or type(error).__name__) from error


@contextmanager
def reading(path: Path) -> Iterator[tuple[Source, Manifest]]:
    """A backup and what its manifest says; what turns out damaged in the block is said to be.

    Raises:
        ServerError: Where it is none, or damaged.
    """
    try:
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(path.open("rb"))
            except OSError as error:
                raise ServerError(
                    f"{path} cannot be read ({error.strerror})", "Name a backup's file"
                ) from error
            with _telling_damage():
                source = Source(stack.enter_context(zipfile.ZipFile(stream)))
            yield source, _manifest(source)
    except DamagedError as error:
        raise ServerError(f"{path} is damaged, or no backup ({error})", "Take another backup") from error


def checked_lines(source: Source, part: Rows) -> Iterator[bytes]:
    """A table's lines.

    Raises:
        DamagedError: After the last of them, where they are not what the manifest says.
    """
    with source.open(part.member) as stream:
        hashing = Hashing(io.BufferedReader(stream))
        yield from hashing.lines()
    if hashing.sha256 != part.sha256:
        raise DamagedError(f"the rows of {part.table} are not those that were written")


def _manifest(source: Source) -> Manifest:
    content = source.read(MANIFEST, LARGEST_MANIFEST)
    if source.read(MANIFEST_SHA256, LARGEST_MANIFEST) != _sha256(content).encode():
        raise DamagedError("its manifest was changed")
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise DamagedError("its manifest says nothing that this version knows") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def total(parts: Iterable[Rows]) -> int:
    """How many rows these are."""
    return sum(part.rows for part in parts)
