"""What a server is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from leukolens.imaging.decode import LARGEST_PIXELS

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask for.

    Attributes:
        upload_bytes: Of one request.
        unpacked_bytes: Of all that a zip holds.
        files: In one zip or one request.
        image_bytes: Of one image file.
        image_pixels: Of one image, width times height.
        reading_bytes: Address space of the process that decodes and reads.
        reading_seconds: For one field, before that process is ended.
    """

    upload_bytes: int = 2048 * MIB
    unpacked_bytes: int = 4096 * MIB
    files: int = 2000
    image_bytes: int = 256 * MIB
    image_pixels: int = LARGEST_PIXELS
    reading_bytes: int = 6144 * MIB
    reading_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with.

    Attributes:
        folder: Where everything lies that the server keeps: images, bundles, reports and, unless another is
            named, the database.
        database: SQLAlchemy URL; None for SQLite in the folder.
        bundle: Bundle file to begin with; None for the one that ships with the package.
        host: Address to bind to.
        port: Port; 0 for any free one.
        secure: Whether browsers reach it by TLS, through a proxy; cookies are then *Secure*.
        session_hours: After which a person has to sign in again.
        watch: A folder whose folders become samples; None for none.
        keep_days: Age in days from which samples are deleted; None for never.
        blind: Share of the cells, from 0 to 1, that are named with the machine's answer hidden; 0 for none.
        webhook_url: Where signed reports are announced; None for nowhere.
        webhook_secret: What the announcements are signed with.
        limits: What a client may ask for.
    """

    folder: Path
    database: str | None = None
    bundle: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    secure: bool = False
    session_hours: float = 12.0
    watch: Path | None = None
    keep_days: int | None = None
    blind: float = 0.0
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    limits: Limits = Limits()

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL."""
        return self.database or f"sqlite:///{(self.folder / 'leukolens.sqlite').resolve().as_posix()}"
