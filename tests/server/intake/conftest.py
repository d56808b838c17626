"""What tests of the intake share: a folder of files, an open sample, and images small enough to make at once."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from leukolens.server.intake import samples
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files


@pytest.fixture
def files(settings: Settings) -> Files:
    return Files(settings.folder)


@pytest.fixture
def key(database: Database, people: SimpleNamespace) -> str:
    """Of an open sample without fields."""
    with database.writing() as session:
        return samples.create(session, people.reader, identifier="P-100").key


@pytest.fixture
def image() -> Callable[..., bytes]:
    """Makes an image file; another number, other pixels."""

    def make(number: int = 0, kind: str = "PNG") -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        return buffer.getvalue()

    return make
