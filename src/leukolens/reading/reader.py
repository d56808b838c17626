"""The journey of one image: decoded, framed, named, judged. Many images run beside each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle, load
from leukolens.errors import ImageError
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box, frame, frame_within
from leukolens.imaging.nucleus import slide_of
from leukolens.reading.cell import ImageReading
from leukolens.reading.classifier import Classifier
from leukolens.reading.detector import Detector
from leukolens.reading.processor import processors
from leukolens.reading.verdicts import judged

CHUNK = 16
NO_WHITE_CELL = "no white cell found"
NO_NUCLEUS = "no nucleus found: nothing in the image is dense and large enough to be one"

Source = Path | str | NDArray[np.uint8]


class Reader:
    """Names the white cell in images that hold one.

    Example:
        >>> from leukolens import Reader
        >>> for reading in Reader().identify(["cell.png"]):
        ...     print(reading.path, reading.status, [cell.label for cell in reading.cells])

    Args:
        bundle: A bundle or its file; None for the one that ships with the package.
        threads: How many images are worked on at a time; None for one a processor.
        engine: What runs the classifier, one of `leukolens.reading.choice.ENGINES`.

    Raises:
        BundleError: Where there is no bundle there, or it is damaged.
        EngineError: Where there is no such engine here.
    """

    def __init__(
        self, bundle: Path | str | Bundle | None = None, *, threads: int | None = None, engine: str = "auto"
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        self.bundle = bundle if isinstance(bundle, Bundle) else load(Path(bundle) if bundle else None)
        self.threads = threads or processors()
        self.classifier = Classifier(self.bundle, engine=engine)
        self.detector = Detector(self.bundle) if self.bundle.card.finding else None

    def identify(self, sources: Iterable[Source]) -> Iterator[ImageReading]:
        """One reading per source, in their order; a bad image gives a reading that says why it is bad.

        Sources are taken as they are needed, a few dozen ahead, and nothing is kept behind: memory does
        not grow with their number.

        Args:
            sources: Image files, or pixels as uint8 (height, width, 3), RGB. Pixels have no name and are
                called ``array-0``, ``array-1`` and so on, by their place among the sources.

        Raises:
            BundleError: Where the bundle's graph cannot run.
        """
        numbered = enumerate(sources)
        waiting: deque[Future[list[ImageReading]]] = deque()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="leukolens") as pool:
            try:
                while True:
                    while len(waiting) < 2 * self.threads and (chunk := list(islice(numbered, CHUNK))):
                        waiting.append(pool.submit(self._read, chunk))
                    if not waiting:
                        return
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, chunk: list[tuple[int, Source]]) -> list[ImageReading]:
        framed = [self._frame(source, number) for number, source in chunk]
        crops = [found[0] for found in framed if not isinstance(found, ImageReading)]
        boxes = [found[1] for found in framed if not isinstance(found, ImageReading)]
        cells = judged(self.classifier, np.stack(crops), boxes) if crops else iter(())
        return [
            found
            if isinstance(found, ImageReading)
            else ImageReading(named(source, number), "ok", None, (next(cells),))
            for (number, source), found in zip(chunk, framed, strict=True)
        ]

    def _frame(self, source: Source, number: int) -> tuple[NDArray[np.uint8], Box] | ImageReading:
        path = named(source, number)
        try:
            found = self.frame(pixels_of(source))
        except ImageError as error:
            return ImageReading(path, "failed", error.reason)
        # One image must never cost the others theirs, whatever is wrong with it or with us.
        except Exception as error:
            return ImageReading(path, "failed", f"could not be framed ({type(error).__name__}: {error})")
        if found is not None:
            return found
        return ImageReading(path, "no_cell", NO_NUCLEUS if self.detector is None else NO_WHITE_CELL)

    def frame(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Box] | None:
        """The crop that is named of an image, and where it lies; None where no white cell is found.

        The bundle's detector says where, or, in a bundle without, the most conspicuous nucleus.

        Args:
            rgb: uint8 (height, width, 3).
        """
        framing = self.bundle.card.framing
        if self.detector is None or framing.whole_image:
            return frame(rgb, framing)
        slide = slide_of(rgb)
        found = self.detector.white_cell(rgb, slide)
        return None if found is None else frame_within(rgb, found, framing, slide)


def named(source: Source, number: int) -> Path:
    """The path of a file, ``array-<number>`` for pixels."""
    return Path(f"array-{number}") if isinstance(source, np.ndarray) else Path(source)


def pixels_of(source: Source) -> NDArray[np.uint8]:
    """The pixels of a file or of themselves, uint8 (height, width, 3).

    Raises:
        ImageError: Where the file cannot be decoded, or the array is no RGB image.
    """
    if not isinstance(source, np.ndarray):
        return decode(Path(source))
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or source.size == 0:
        problem = f"is {source.dtype} of shape {source.shape}, not uint8 of shape (height, width, 3)"
        raise ImageError(None, problem, "Convert it to 8-bit RGB")
    return np.ascontiguousarray(source)
