"""The letters of a PDF: DejaVu Sans, embedded, so that names in Greek or Cyrillic can be read anywhere."""

from __future__ import annotations

from functools import cache
from importlib import resources
from io import BytesIO
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from leukolens.report.tables import printable

REGULAR, BOLD = "LeukolensSans", "LeukolensSans-Bold"
FILES = {REGULAR: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf"}


@cache
def known() -> frozenset[int]:
    """The characters that both weights can draw; makes reportlab know them the first time."""
    faces = []
    for name, file in FILES.items():
        content = resources.files("leukolens.report").joinpath("fonts", file).read_bytes()
        font = TTFont(name, BytesIO(content))
        pdfmetrics.registerFont(font)
        faces.append(frozenset(font.face.charToGlyph))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
    return faces[0] & faces[1]


def legible(text: str) -> str:
    """Text as it can be drawn: what the font lacks stands as its code point, ``[U+4E2D]``, so that nothing is lost."""
    can = known()
    return "".join(
        character if ord(character) in can else f"[U+{ord(character):04X}]" for character in printable(text)
    )


def markup(text: str) -> str:
    """Legible text for a paragraph, which is XML."""
    return escape(legible(text))
