"""A watched folder: each of its folders is a sample, and the images in it are the sample's fields.

`barcodes` says what the sample's identifier is; a photograph of the slide's label is no field. Images are copied once
they have come to rest, and stay where they are. All that has to be remembered stands in the database: an image is known
by its digest, so that a restart takes nothing twice, and nothing of a deleted sample comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Unfit
from leukolens.report.tables import printable
from leukolens.server.actor import Actor
from leukolens.server.intake import samples
from leukolens.server.intake.barcodes import WRITTEN, Barcodes, is_photograph
from leukolens.server.intake.resting import Rest, Resting, digest_of, entries, is_image, opened, reason
from leukolens.server.intake.uploads import LONGEST_NAME, Upload, receive
from leukolens.server.settings import Limits
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Field, Identity, Sample

WATCHER = Actor(None, "watched folder", "reader")
"""Who acts, as it stands in the audit trail; no person made what it makes."""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """What was not taken.

    Attributes:
        name: Of the folder, or of the folder and the file; to be shown to persons, never logged.
        reason: Why, as a sentence that goes on after the name.
    """

    name: str
    reason: str


class Watched:
    """The folder, looked at again and again.

    Args:
        folder: Whose folders are samples.
        database: Where the samples go; each image is one transaction.
        files: Where images are kept.
        limits: Of one image.
        barcode: The barcode in a photograph of a slide's label, as `barcodes.photographed` tells it.
        rest: Tells which files have come to rest.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        files: Files,
        limits: Limits,
        barcode: Callable[[Path], str],
        rest: Rest | None = None,
    ) -> None:
        self._folder, self._database, self._files, self._limits = folder, database, files, limits
        self._rest = rest or Rest()
        self._barcodes = Barcodes(self._rest, barcode)
        self.not_taken: tuple[NotTaken, ...] = ()

    def look(self) -> int:
        """Takes what has come to rest; what cannot be taken is told in ``not_taken``.

        Returns:
            How many fields there are more.

        Raises:
            OSError: Where the folder cannot be listed.
            ServerError: Where nothing can be kept now: a full disk, a locked database.
            StoppedError: Where the server stops while a photograph of a label is read.
        """
        taken, there, refused = 0, set[Path](), list[NotTaken]()
        for entry in entries(self._folder):
            if entry.is_dir(follow_symlinks=False):
                taken += self._look_into(Path(entry.path), there, refused)
        self._rest.forget_all_but(there)
        self.not_taken = tuple(refused)
        return taken

    def _look_into(self, folder: Path, there: set[Path], refused: list[NotTaken]) -> int:
        """Takes what has come to rest in one sample's folder."""
        try:
            listed = entries(folder)
            labels = {
                Path(one.path): self._rest.of(Path(one.path)) for one in listed if is_photograph(one.name)
            }
            # Links are passed over: they could lead anywhere.
            found = [
                Path(one.path) for one in listed if one.is_file(follow_symlinks=False) and is_image(one.name)
            ]
            fields = [image for image in found if image not in labels]
            there.update((*fields, *labels, folder / WRITTEN))
            self._rest.of(folder / WRITTEN)
            resting = {image: file for image in fields if (file := self._rest.of(image)) is not None}
            identifier = self._barcodes.identifier(folder, labels) if resting else None
        except (Unfit, OSError) as error:
            refused.append(_not_taken(folder.name, reason(error)))
            return 0
        if identifier is None:
            refused += _problems(folder, labels)
            return 0
        for image, file in resting.items():
            self._read(image, file)
        beside = {file.digest for file in resting.values() if file.digest}
        taken = sum(self._take(image, file, identifier, beside) for image, file in resting.items())
        refused += _problems(folder, resting)
        return taken

    def _read(self, image: Path, file: Resting) -> None:
        """Finds out the digest of an image that is new."""
        if file.digest or not self._rest.is_due(file):
            return
        try:
            file.digest, file.problem = digest_of(image, self._limits.image_bytes), ""
        except (Unfit, OSError) as error:
            self._rest.refuse(file, reason(error), for_good=isinstance(error, Unfit))

    def _take(self, image: Path, file: Resting, identifier: str, beside: set[str]) -> int:
        """One more field of the sample with this identifier; 0 where it is none, or has it already."""
        if not file.digest or not self._rest.is_due(file):
            return 0
        taken = 0
        try:
            with self._database.writing() as session:
                key = _sample_for(session, identifier, file.digest, beside)
            if key is not None:
                with opened(image) as stream:
                    upload = [Upload(image.name, stream)]
                    received = receive(self._database, self._files, WATCHER, key, upload, self._limits)
                for refusal in received.refused:
                    raise Unfit(refusal.reason, "")
                taken = received.taken
        except (Unfit, Conflict, OSError) as error:
            self._rest.refuse(file, reason(error), for_good=False)
            return 0
        file.done, file.problem = True, ""
        return taken


def _sample_for(session: Session, identifier: str, digest: str, beside: set[str]) -> str | None:
    """The key of the sample that an image goes to, made where there is none; None where the sample has it already.

    Args:
        session: In a writing transaction.
        identifier: The sample's.
        digest: The image's.
        beside: Digests of all images of its folder.

    Raises:
        Conflict: Where the sample is signed, the image belongs to another or to one that was deleted, or those beside
            it belong to one that is called otherwise: whose it is, a person has to say.
    """
    mine = (
        select(Sample)
        .join(Identity, Identity.sample_id == Sample.id)
        .where(Identity.identifier == identifier, Sample.created_by.is_(None), Sample.deleted.is_(None))
        .order_by(Sample.id.desc())
    )
    sample = session.scalars(mine).first()
    holding = (
        select(Field.image_sha256, Sample)
        .join(Sample, Sample.id == Field.sample_id)
        .where(Field.image_sha256.in_(beside), Sample.created_by.is_(None))
    )
    holders = session.execute(holding).all()
    same = [holder for image, holder in holders if image == digest]
    if sample is not None and sample in same:
        return None
    for holder in same:
        raise Conflict(
            "belongs to a sample that was deleted"
            if holder.deleted
            else f"is in sample {holder.key} already",
            "Take it out of the folder",
        )
    if sample is None:
        for _, holder in holders:
            if holder.deleted is None:
                raise Conflict(
                    f"lies beside images of sample {holder.key}, which has another identifier",
                    "Call the folder as the sample is called",
                )
        return samples.create(session, WATCHER, identifier=identifier).key
    if sample.state != "open":
        raise Conflict(f"comes after sample {sample.key} was signed", "Open it again")
    return sample.key


def _problems(folder: Path, files: Mapping[Path, Resting | None]) -> list[NotTaken]:
    """What is wrong with files of a folder that have come to rest."""
    return [
        _not_taken(f"{folder.name}/{path.name}", file.problem)
        for path, file in files.items()
        if file is not None and file.problem
    ]


def _not_taken(name: str, reason: str) -> NotTaken:
    return NotTaken(printable(name)[:LONGEST_NAME], reason)
