"""Where the network looked: the exact class activation map, laid over the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from leukolens.imaging.framing import Box, frame_within
from leukolens.imaging.nucleus import slide_of
from leukolens.reading.cell import Cell
from leukolens.reading.classifier import Classifier
from leukolens.reading.reader import Reader, Source, pixels_of
from leukolens.reading.trust import percent
from leukolens.taxonomy import cell_class

SMALLEST_SIDE = 480
STRONGEST = 0.5
FOR, AGAINST = (255, 140, 0), (0, 90, 255)


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What spoke for and against one class, and where.

    Attributes:
        box: The square that was framed, in pixels of the image as displayed; may reach over its edge.
        label: The class key that it explains.
        evidence: float32 (h, w), over the box from edge to edge. Its mean, plus the class's bias, is the
            class's logit: above 0 speaks for the class, below 0 against it. Zhou et al., *Learning deep
            features for discriminative localization*, CVPR 2016.
    """

    box: Box
    label: str
    evidence: NDArray[np.float32]


def explain(reader: Reader, source: Source, label: str | None = None) -> Explanation | None:
    """The evidence for a class in this image; None where no cell is found.

    Args:
        reader: Whose bundle answers.
        source: An image file or pixels, as `Reader.identify` takes them.
        label: A class key of the bundle; None for the most probable.

    Raises:
        ImageError: Where the image cannot be read.
        BundleError: Where the bundle's graph gives no activation maps.
    """
    found = reader.frame(pixels_of(source))
    return None if found is None else _explained(reader.classifier, *found, label)


def explain_in_field(
    classifier: Classifier, rgb: NDArray[np.uint8], found: Box, label: str | None = None
) -> Explanation:
    """The evidence for a class in a cell whose place in a field is known.

    Args:
        classifier: Whose bundle answers.
        rgb: (h, w, 3), the field.
        found: The cell, in its pixels.
        label: A class key of the bundle; None for the most probable.

    Raises:
        BundleError: Where the bundle's graph gives no activation maps.
    """
    framed = frame_within(rgb, found, classifier.bundle.card.framing, slide_of(rgb))
    return _explained(classifier, *framed, label)


def _explained(classifier: Classifier, crop: NDArray[np.uint8], box: Box, label: str | None) -> Explanation:
    probabilities, maps = classifier.activation(crop)
    index = int(probabilities.argmax()) if label is None else classifier.classes.index(label)
    return Explanation(box, classifier.classes[index], maps[index])


def picture(source: Source, explanation: Explanation, cell: Cell | None = None) -> Image.Image:
    """The image with the evidence over it (orange for, blue against), the framed square, and a caption.

    Small images are enlarged by a whole factor, so that the caption can be read.

    Raises:
        ImageError: Where the image cannot be read.
    """
    rgb = pixels_of(source)
    factor = max(1, -(-SMALLEST_SIDE // max(rgb.shape[:2])))
    box = explanation.box
    heated = cv2.resize(overlaid(rgb, explanation), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    image = Image.fromarray(np.asarray(heated, dtype=np.uint8))
    draw = ImageDraw.Draw(image)
    corners = (box.x0 * factor, box.y0 * factor, box.x1 * factor - 1, box.y1 * factor - 1)
    draw.rectangle(corners, outline=cell_class(explanation.label).rgb, width=3)
    return _captioned(image, _caption(explanation, cell))


def overlaid(rgb: NDArray[np.uint8], explanation: Explanation) -> NDArray[np.uint8]:
    """The image, uint8 (h, w, 3), with the evidence laid over the box; outside it nothing changes."""
    height, width = rgb.shape[:2]
    box, inside = explanation.box, explanation.box.within(width, height)
    result = rgb.copy()
    strongest = float(np.abs(explanation.evidence).max())
    if strongest == 0 or inside.width <= 0 or inside.height <= 0:
        return result
    evidence = _over_box(explanation.evidence / strongest, box, inside)
    opacity = (STRONGEST * np.abs(evidence))[..., None]
    colour = np.where(evidence[..., None] > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    piece = result[inside.y0 : inside.y1, inside.x0 : inside.x1]
    piece[...] = np.rint(piece * (1 - opacity) + colour * opacity).astype(np.uint8)
    return result


def veil(explanation: Explanation, side: int) -> NDArray[np.uint8]:
    """The evidence alone, to be laid over the box by whoever shows it: uint8 (side, side, 4), RGBA."""
    square = Box(0, 0, side, side)
    strongest = float(np.abs(explanation.evidence).max())
    evidence = _over_box(explanation.evidence / (strongest or 1.0), square, square)[..., None]
    colour = np.where(evidence > 0, np.array(FOR, np.uint8), np.array(AGAINST, np.uint8))
    opacity = np.rint(255 * STRONGEST * np.abs(evidence)).astype(np.uint8)
    return np.concatenate([colour, opacity], axis=2)


def _over_box(evidence: NDArray[np.float32], box: Box, inside: Box) -> NDArray[np.float32]:
    """The part of the map over ``inside``, float32, one value a pixel: bilinear between cell centres."""
    rows, columns = evidence.shape
    x = (np.arange(inside.x0, inside.x1, dtype=np.float32) + 0.5 - box.x0) * (columns / box.width) - 0.5
    y = (np.arange(inside.y0, inside.y1, dtype=np.float32) + 0.5 - box.y0) * (rows / box.height) - 0.5
    xs, ys = np.meshgrid(np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1))
    return np.asarray(cv2.remap(evidence, xs, ys, cv2.INTER_LINEAR), dtype=np.float32)


def _caption(explanation: Explanation, cell: Cell | None) -> str:
    name = cell_class(explanation.label).name
    if cell is None:
        return f"evidence for {name.lower()}"
    probability = cell.probabilities.get(explanation.label, 0.0)
    return f"{name} {percent(probability)}, {cell.decision}\norange: for, blue: against"


def _captioned(image: Image.Image, text: str) -> Image.Image:
    font = ImageFont.load_default(18)
    lines = text.split("\n")
    page = Image.new("RGB", (image.width, image.height + 26 * len(lines) + 8), "white")
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((8, image.height + 4 + 26 * number), line, fill="black", font=font)
    return page
