"""Cuts cells out of fields, each as the image of a single cell that `leukolens adapt` takes.

``python -m leukolens.server.learning.cutting PLAN`` does what a JSON file asks for: ``{"framing": ...,
"memory": bytes, "pixels": ..., "fields": [{"image": path, "sha256": ..., "cells": [{"name": ..., "box": [...]},
...]}, ...]}``. It writes each cell to ``cells/NAME`` below the folder where it is run and says a line ``{"done":
fields}`` after each field, with ``"problem"`` where that one could not be read. It is a process of its own, since it
decodes clients' images.

A cell is cut out of the stored image, with no pixel changed, and kept as PNG. `leukolens adapt` frames an image of one
cell by finding the nucleus and judging the empty ground around it, so that it needs generous surroundings: three times
the cell's box, if the field reaches so far. Where a neighbour stands so near that its nucleus would be taken for the
cell's, less is cut out: whatever is the most in which the bundle's own framing finds this cell.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from leukolens.card import Framing
    from leukolens.imaging.framing import Box

SURROUNDINGS = (3.0, 2.2, 1.6, 1.2)
"""Sides of what is cut out, in sides of the cell's box, from the best."""


def main() -> None:
    """Cuts out all that the plan says."""
    from leukolens.card import Framing

    plan = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    _hold_within(plan["memory"])
    framing = Framing.model_validate(plan["framing"])
    for done, field in enumerate(plan["fields"], 1):
        said: dict[str, Any] = {"done": done}
        problem = cut_field(field, framing, plan["pixels"], Path("cells"))
        if problem is not None:
            said["problem"] = problem
        print(json.dumps(said), flush=True)


def cut_field(field: Mapping[str, Any], framing: Framing, pixels: int, folder: Path) -> str | None:
    """Writes the cells of one field.

    Args:
        field: As in the plan.
        framing: How the bundle wants to see cells.
        pixels: That an image may have.
        folder: Where to.

    Returns:
        Why there are none of it; None where there are.
    """
    from PIL import Image

    from leukolens.errors import ImageError
    from leukolens.imaging.decode import content_of, decode
    from leukolens.imaging.framing import Box

    try:
        content = content_of(Path(field["image"]))
        if hashlib.sha256(content).hexdigest() != field["sha256"]:
            return "the stored image is another one"
        rgb = decode(content)
    except ImageError as error:
        return error.reason
    except MemoryError:
        return "there is not enough memory to decode it"
    if rgb.shape[0] * rgb.shape[1] > pixels:
        return f"has more than {pixels} pixels"
    for cell in field["cells"]:
        path = folder / cell["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(cut(rgb, Box(*cell["box"]), framing)).save(path, "PNG", compress_level=1)
    return None


def cut(rgb: NDArray[np.uint8], box: Box, framing: Framing) -> NDArray[np.uint8]:
    """A cell with its surroundings.

    Args:
        rgb: (h, w, 3), the field.
        box: The cell, in its pixels; part of it at least lies inside.
        framing: How the bundle wants to see cells.

    Returns:
        uint8 (h, w, 3), a part of the field.
    """
    from leukolens.imaging.framing import frame

    piece = rgb
    for times in SURROUNDINGS:
        around = _around(box, times, rgb)
        piece = rgb[around.y0 : around.y1, around.x0 : around.x1]
        found = frame(piece, framing)
        if found is None:
            continue
        x = around.x0 + (found[1].x0 + found[1].x1) / 2
        y = around.y0 + (found[1].y0 + found[1].y1) / 2
        if box.x0 <= x < box.x1 and box.y0 <= y < box.y1:
            break
    return piece


def _around(box: Box, times: float, rgb: NDArray[np.uint8]) -> Box:
    from leukolens.imaging.framing import Box

    side = max(1, round(times * max(box.width, box.height)))
    x0, y0 = (box.x0 + box.x1 - side) // 2, (box.y0 + box.y1 - side) // 2
    height, width = rgb.shape[:2]
    return Box(x0, y0, x0 + side, y0 + side).within(width, height)


def _hold_within(memory: int) -> None:
    try:
        import resource
    except ImportError:
        return
    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):  # some systems refuse the first, and a lower limit may be set already
            continue


if __name__ == "__main__":
    main()
