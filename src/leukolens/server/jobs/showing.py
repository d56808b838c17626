"""What the reading process finds in one image for somebody who waits: a view of it, evidence in it, barcodes in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from leukolens.imaging.framing import Box
    from leukolens.reading.classifier import Classifier

QUALITY = 92
VEIL_SIDE = 160
MOST_TEXTS = 2
"""Of barcodes, that are told: two that differ are too many."""
NO_MEMORY = "there is not enough memory to show it"


def view(content: bytes, rgb: NDArray[np.uint8]) -> dict[str, Any]:
    """A field as a JPEG of the same size, turned as it is displayed.

    Args:
        content: Its file's.
        rgb: Its pixels, (h, w, 3).
    """
    from PIL import Image

    buffer = BytesIO()
    try:
        Image.fromarray(rgb).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    except OSError:  # a JPEG has no more than 65,500 pixels a side
        return {"problem": "is too long or too wide to be shown"}
    return {"view": _text(buffer.getvalue()), "image_sha256": hashlib.sha256(content).hexdigest()}


def evidence(
    classifier: Classifier, content: bytes, rgb: NDArray[np.uint8], box: Box, label: str
) -> dict[str, Any]:
    """What spoke for and against a class in one cell, as a see-through picture and the square that it covers.

    Args:
        classifier: Of the bundle that read the cell.
        content: The field's file's.
        rgb: The field's pixels, (h, w, 3).
        box: The cell.
        label: A class of the bundle.
    """
    from PIL import Image

    from leukolens.reading.explain import explain_in_field, veil

    if label not in classifier.classes:
        return {"problem": f"the bundle knows no class {label}"}
    found = explain_in_field(classifier, rgb, box, label)
    Image.fromarray(veil(found, VEIL_SIDE)).save(buffer := BytesIO(), "PNG")
    square = found.box
    return {
        "veil": _text(buffer.getvalue()),
        "square": [square.x0, square.y0, square.x1, square.y1],
        "label": label,
        "image_sha256": hashlib.sha256(content).hexdigest(),
    }


def barcodes(content: bytes, rgb: NDArray[np.uint8]) -> dict[str, Any]:
    """What the barcodes in a photograph say, and whether one is of a kind whose misreadings are noticed.

    Args:
        content: Its file's.
        rgb: Its pixels, (h, w, 3).
    """
    import zxingcpp
    from PIL import Image

    # Of 8,000 drawn and spoilt photographs of each of these kinds none gave a wrong text of the kind. Of 1,500 of ITF,
    # whose codes have no check digit, 63 did, of Code 39 one. Those are looked for all the same: two that differ show.
    kinds = zxingcpp.BarcodeFormat
    checked = (kinds.Code128, kinds.DataMatrix, kinds.QRCode)
    try:
        # Plain, since what is meant for persons has a control character written out, as if it stood in the barcode.
        found = zxingcpp.read_barcodes(Image.fromarray(rgb).convert("L"), text_mode=zxingcpp.TextMode.Plain)
    except MemoryError:
        return {"problem": "there is not enough memory to read it"}
    texts = sorted({one.text.strip() for one in found})
    return {
        "texts": texts[:MOST_TEXTS],
        "checked": any(one.format in checked for one in found),
        "image_sha256": hashlib.sha256(content).hexdigest(),
    }


def shown(
    asked: dict[str, Any],
    decoded: Callable[[bytes], NDArray[np.uint8]],
    classifier_of: Callable[[Path], Classifier],
) -> dict[str, Any]:
    """What is answered to ``{"show": "view", "barcode" or "evidence", "image": path, ...}``.

    Args:
        asked: With ``bundle``, ``box`` and ``label`` where it is evidence that is asked for.
        decoded: The pixels of a file's content.
        classifier_of: That of a bundle's file.
    """
    from leukolens.errors import ImageError, LeukolensError
    from leukolens.imaging.decode import content_of
    from leukolens.imaging.framing import Box

    try:
        content = content_of(Path(asked["image"]))
        rgb = decoded(content)
        if asked["show"] == "view":
            return view(content, rgb)
        if asked["show"] == "barcode":
            return barcodes(content, rgb)
        return evidence(
            classifier_of(Path(asked["bundle"])), content, rgb, Box(*asked["box"]), asked["label"]
        )
    except ImageError as error:
        return {"problem": error.reason}
    except LeukolensError as error:
        return {"problem": str(error)}
    except MemoryError:
        return {"problem": NO_MEMORY}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
