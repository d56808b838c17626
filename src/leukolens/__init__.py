"""Leukolens identifies white blood cells in microscope images, and says when it is not sure.

For research and education; not a certified medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leukolens.reading.reader import Reader

__version__ = "0.1.0"
__all__ = ["Reader", "__version__"]


def __getattr__(name: str) -> object:
    """Imports `Reader` when it is first asked for, so that ``import leukolens`` costs nothing."""
    if name == "Reader":
        from leukolens.reading.reader import Reader

        return Reader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
