"""What was made of images to be shown: kept by the digest of the image, gone with it, in no backup.

Each can be made anew, so that nothing is lost where one is.
"""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

from leukolens.errors import Missing
from leukolens.server.store.files import OURS_ALONE, Files, telling


class Views:
    """The folder ``views/ab/abcd.../NAME`` of a server.

    Args:
        files: The images that they are made of.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.folder = files.folder / "views"

    def path(self, image: str, name: str) -> Path:
        """Where a view lies, or would.

        Args:
            image: The sha256 of what it is made of.
            name: Which of its views.

        Raises:
            Missing: Where that is no digest, or no name.
        """
        if not re.fullmatch("[0-9a-f]{64}", image) or not re.fullmatch(r"[a-z0-9-]+\.[a-z]+", name):
            raise Missing("there is no view of that name", "Ask for one by an image's sha256")
        return self.folder / image[:2] / image / name

    def put(self, image: str, name: str, content: bytes) -> Path:
        """Keeps a view; one of an image that was removed meanwhile is not left behind.

        Raises:
            Missing: Where the image is not there any more.
            ServerError: Where the disk is full, or cannot be written to.
        """
        place = self.path(image, name)
        part = self._files.folder / "incoming" / f"{secrets.token_hex(16)}.part"
        try:
            with telling(self._files.folder):
                place.parent.mkdir(parents=True, exist_ok=True, mode=OURS_ALONE)
                part.write_bytes(content)
                part.replace(place)
        finally:
            part.unlink(missing_ok=True)
        if not self._files.has(image):
            self.remove(image)
            raise Missing("the image is not there any more", "Look for the sample in the list")
        return place

    def remove(self, image: str) -> None:
        """Takes all views of an image away; after the image itself, so that none is made anew.

        Raises:
            ServerError: Where they cannot be taken away.
        """
        folder = self.path(image, "any.jpg").parent
        with telling(self._files.folder):
            if folder.exists():
                shutil.rmtree(folder)

    def all(self) -> list[str]:
        """The sha256 of every image that has views, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(entry.name for shelf in self.folder.iterdir() for entry in shelf.iterdir())
