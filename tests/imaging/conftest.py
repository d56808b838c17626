"""What tests of decoding share: what a refusal has to say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leukolens.errors import ImageError
from leukolens.imaging.decode import decode


@pytest.fixture(scope="session")
def refusal() -> Callable[[Path | bytes], ImageError]:
    """Decodes what is to be refused, and gives the error: one line with a reason and a remedy."""

    def refused(source: Path | bytes) -> ImageError:
        with pytest.raises(ImageError) as caught:
            decode(source)
        assert caught.value.reason
        assert caught.value.remedy
        assert "\n" not in str(caught.value)
        return caught.value

    return refused
