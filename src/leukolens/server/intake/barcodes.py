"""Whose smear a sample's folder holds, by what lies in it.

Its ``barcode.txt`` says so; where there is none, the barcode in a photograph of the slide's label; else its name.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from leukolens.errors import ServerError, Unfit
from leukolens.server.intake import samples
from leukolens.server.intake.resting import Rest, Resting, is_image, opened, reason
from leukolens.server.intake.signatures import HEAD, image_problem
from leukolens.server.jobs.answers import BESIDE, ReadingFailedError
from leukolens.server.jobs.reading_client import ReadingClient, StoppedError
from leukolens.server.settings import MIB, Limits
from leukolens.server.store.files import Files

WRITTEN = "barcode.txt"
LARGEST_WRITTEN = 1000
PHOTOGRAPHS = ("label", "barcode")
"""What photographs of a label are called, before the suffix."""


def is_photograph(name: str) -> bool:
    """Whether what is called so is a photograph of a slide's label, and no field."""
    return Path(name).stem.lower() in PHOTOGRAPHS and is_image(name)


class Barcodes:
    """Says whose smear a folder holds.

    Args:
        rest: Tells which files have come to rest, and remembers what was read in them.
        read: The barcode in a photograph, which has come to rest.
    """

    def __init__(self, rest: Rest, read: Callable[[Path], str]) -> None:
        self._rest, self._read = rest, read

    def identifier(self, folder: Path, photographs: Mapping[Path, Resting | None]) -> str | None:
        """The identifier of the sample in a folder.

        Args:
            folder: The sample's.
            photographs: Of its slide's label; None for one that has not come to rest.

        Returns:
            None while what says so is still being written, and where a photograph has a problem, which stands with it.

        Raises:
            OSError: Where barcode.txt cannot be read.
            Unfit: Where there is none that can be an identifier.
            StoppedError: Where the server stops before a photograph was read.
        """
        said: str | None = folder.name
        if os.path.lexists(folder / WRITTEN):
            said = self._written(folder / WRITTEN)
        elif photographs:
            said = self._photographed(photographs)
        return None if said is None else samples.identifier_of(_composed(said))

    def _written(self, file: Path) -> str | None:
        if self._rest.of(file) is None:
            return None
        with opened(file) as stream:
            content = stream.read(LARGEST_WRITTEN)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unfit("has a barcode that is no text in UTF-8", "Write it anew") from error

    def _photographed(self, photographs: Mapping[Path, Resting | None]) -> str | None:
        resting = {path: file for path, file in photographs.items() if file is not None}
        if len(resting) < len(photographs):
            return None
        for path, file in resting.items():
            self._look_at(path, file)
        if any(file.problem for file in resting.values()):
            return None
        texts = {_composed(file.barcode) for file in resting.values()}
        if len(texts) > 1:
            raise Unfit(
                "has photographs of its label that say different things: say in barcode.txt which", ""
            )
        return texts.pop()

    def _look_at(self, photograph: Path, file: Resting) -> None:
        """Has a photograph read that is new, or whose time to be tried again has come."""
        if file.barcode or not self._rest.is_due(file):
            return
        try:
            file.barcode, file.problem = self._read(photograph), ""
        except StoppedError:
            raise
        except (ServerError, OSError) as error:
            # What was said of the content is remembered as long as that stays: to look again takes seconds.
            for_good = isinstance(error, Unfit | ReadingFailedError)
            self._rest.refuse(file, str(Unfit(reason(error), BESIDE)), for_good=for_good)


def _composed(said: str) -> str:
    # Some systems take the letters of a name apart from their accents.
    return unicodedata.normalize("NFC", said)


def photographed(photograph: Path, *, files: Files, limits: Limits, reader: ReadingClient) -> str:
    """The barcode in a photograph of a label, read in another process.

    Args:
        photograph: Lies in a folder that others write to.
        files: Where it is copied to meanwhile.
        limits: Of one image.
        reader: What reads it.

    Raises:
        OSError: Where it cannot be opened.
        Unfit: Where it is no image's file, or too large.
        ReadingFailedError: Where there is not one barcode in it that can be an identifier.
        StoppedError: Where the server stops.
        ServerError: Where it cannot be copied, or no process be begun.
    """
    if photograph.is_symlink() or not photograph.is_file():
        raise Unfit("is a link or another thing that is no file", BESIDE)
    with opened(photograph) as stream:
        if problem := image_problem(stream.read(HEAD)):
            raise Unfit(problem, BESIDE)
        if os.fstat(stream.fileno()).st_size > limits.image_bytes:
            raise Unfit(f"has more than {limits.image_bytes // MIB} MiB", BESIDE)
        stream.seek(0)
        # Not its path but a copy is what the other process gets: by the time that it opens a path, a link may lie
        # there. In the server's own folder the copy is nobody else's to change, and swept up should the server die.
        with files.copied(stream, limits.image_bytes) as (copy, kept):
            found = reader.barcode(copy)
    if found.image_sha256 != kept.sha256:
        raise ReadingFailedError("the reading process gave no sensible answer", "Read it again")
    return found.text
