"""The journey of a field: decoded, its cells found, each framed, named and judged."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle, load
from leukolens.errors import BundleError, ImageError
from leukolens.imaging.decode import content_of, decode
from leukolens.imaging.framing import Box, frame_within
from leukolens.imaging.nucleus import Slide
from leukolens.reading.cell import Cell, FieldReading
from leukolens.reading.classifier import Classifier
from leukolens.reading.detector import Detector, Found
from leukolens.reading.processor import processors
from leukolens.reading.reader import NO_WHITE_CELL, Source, named, pixels_of
from leukolens.reading.verdicts import judged

EDGE_SHARE, EDGE_PIXELS = 0.03, 2


class FieldReader:
    """Reads fields of a smear.

    Args:
        bundle: A bundle or its file; None for the one that ships with the package.
        threads: How many fields are worked on at a time; None for one a processor.
        engine: What runs the classifier, one of `leukolens.reading.choice.ENGINES`.

    Raises:
        BundleError: Where there is no bundle there, it is damaged, or has no detector.
        EngineError: Where there is no such engine here.
    """

    def __init__(
        self,
        bundle: Path | str | Bundle | None = None,
        threads: int | None = None,
        engine: str = "auto",
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        self.bundle = bundle if isinstance(bundle, Bundle) else load(Path(bundle) if bundle else None)
        self.threads = threads or processors()
        self.detector = Detector(self.bundle)
        self.classifier = Classifier(self.bundle, engine=engine)

    @property
    def engine(self) -> str:
        """What runs the classifier, with its version."""
        return self.classifier.runs_on

    def read(self, sources: Iterable[Source]) -> Iterator[FieldReading]:
        """One reading a field, in their order; a bad image gives a reading that says why it is bad.

        Fields are taken as they are needed, a few ahead, and nothing is kept behind.

        Args:
            sources: Image files, or pixels as uint8 (height, width, 3), RGB; these are called ``array-0``
                and so on.

        Raises:
            BundleError: Where a graph of the bundle cannot run.
        """
        numbered = enumerate(sources)
        waiting: deque[Future[FieldReading]] = deque()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="leukolens") as pool:
            try:
                while True:
                    for number, source in islice(numbered, 2 * self.threads - len(waiting)):
                        waiting.append(pool.submit(self.read_one, source, number))
                    if not waiting:
                        return
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def read_one(self, source: Source, number: int = 0) -> FieldReading:
        """One field; ``number`` names pixels that have no path."""
        path, digest = named(source, number), ""
        try:
            if isinstance(source, np.ndarray):
                rgb = pixels_of(source)
                digest = hashlib.sha256(rgb.tobytes()).hexdigest()
            else:
                content = content_of(path)
                digest = hashlib.sha256(content).hexdigest()
                rgb = decode(content)
            return self._read(path, digest, rgb)
        except ImageError as error:
            return FieldReading(path, "failed", error.reason, digest, 0, 0)
        except BundleError:
            raise
        # One field must never cost the others theirs, whatever is wrong with it or with us.
        except Exception as error:
            reason = f"could not be read ({type(error).__name__}: {error})"
            return FieldReading(path, "failed", reason, digest, 0, 0)

    def _read(self, path: Path, digest: str, rgb: NDArray[np.uint8]) -> FieldReading:
        height, width = rgb.shape[:2]
        found = self.detector.find(rgb)
        kinds = [self.detector.kinds[kind] for kind in found.finds.kinds]
        places = [index for index, kind in enumerate(kinds) if kind == "white_cell"]
        cells = self._named(rgb, found, np.array(places, np.int64))
        return FieldReading(
            path,
            "ok" if cells else "no_cell",
            None if cells else NO_WHITE_CELL,
            digest,
            width,
            height,
            cells,
            kinds.count("red_cell"),
            kinds.count("platelet"),
            found.pixels_per_micrometre,
        )

    def _named(self, rgb: NDArray[np.uint8], found: Found, places: NDArray[np.int64]) -> tuple[Cell, ...]:
        """The cells at these places among the finds, from top to bottom."""
        if not len(places):
            return ()
        height, width = rgb.shape[:2]
        framing, white = self.bundle.card.framing, found.finds.only(places)
        boxes = [Box(*(round(float(side)) for side in box)) for box in white.boxes]
        crops = np.stack([frame_within(rgb, box, framing, found.slide)[0] for box in boxes])
        cells = []
        for cell, score in zip(judged(self.classifier, crops, boxes), white.scores, strict=True):
            cut = cut_by_edge(cell.box, width, height) or cut_by_border(cell.box, found.slide)
            inside = cell.box.within(width, height)
            cells.append(replace(cell, box=inside, at_edge=cut, score=float(score)))
        return tuple(sorted(cells, key=lambda cell: (cell.box.y0, cell.box.x0, cell.box.y1, cell.box.x1)))


def cut_by_edge(box: Box, width: int, height: int) -> bool:
    """Whether a field of this size cuts the cell: its box touches the edge, give or take a few pixels."""
    near_x, near_y = _near(box)
    return box.x0 < near_x or box.y0 < near_y or box.x1 > width - near_x or box.y1 > height - near_y


def cut_by_border(box: Box, slide: Slide) -> bool:
    """Whether black inside the image, a round aperture or a corner that a rotation left, cuts the cell.

    A cell is round: the ellipse in its box is what must not touch the border, give or take a few pixels.
    The corners of a whole cell's box may well lie in a round border.

    Args:
        box: The cell, pixels of the field.
        slide: Of the field.
    """
    if not slide.border.any():
        return False
    half_x, half_y = (side / 2 + near for side, near in zip((box.width, box.height), _near(box), strict=True))
    # One of the two pixels of soft rim that count to the border; both are a quarter of a cell in a large field.
    rows, columns = np.nonzero(cv2.erode(slide.border.astype(np.uint8), np.ones((3, 3), np.uint8)))
    # A pixel of the small copy covers many of the field: its point nearest to the cell's middle tells.
    x = np.clip((box.x0 + box.x1) / 2, columns / slide.scale, (columns + 1) / slide.scale)
    y = np.clip((box.y0 + box.y1) / 2, rows / slide.scale, (rows + 1) / slide.scale)
    away_x, away_y = x - (box.x0 + box.x1) / 2, y - (box.y0 + box.y1) / 2
    return bool(((away_x / half_x) ** 2 + (away_y / half_y) ** 2 < 1).any())


def _near(box: Box) -> tuple[float, float]:
    """Distance within which a cell touches an edge, across and down, pixels."""
    return max(EDGE_PIXELS, EDGE_SHARE * box.width), max(EDGE_PIXELS, EDGE_SHARE * box.height)
