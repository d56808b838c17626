"""The journey of one image: decoded, framed, named, judged. Many images run beside each other."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
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
from leukolens.reading.order import in_order
from leukolens.reading.processes import Workers
from leukolens.reading.processor import processors
from leukolens.reading.verdicts import judged

CHUNK = 16
FILES_EACH = 150
"""Files for each process, of two at least, from which they are worth their start, measured on two processors."""
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
        processes: How many processes may read files beside each other where there are hundreds, with the same
            answers; 0 or 1 for threads alone. They are kept for the next call, until `close`.

    Raises:
        BundleError: Where there is no bundle there, or it is damaged.
        EngineError: Where there is no such engine here.
    """

    def __init__(
        self,
        bundle: Path | str | Bundle | None = None,
        *,
        threads: int | None = None,
        engine: str = "auto",
        processes: int = 0,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        if processes < 0:
            raise ValueError(f"processes must be 0 or more, not {processes}")
        self.bundle = bundle if isinstance(bundle, Bundle) else load(Path(bundle) if bundle else None)
        self.threads, self.processes = threads or processors(), processes
        self.classifier = Classifier(self.bundle, engine=engine, processors=self.threads)
        self.detector = Detector(self.bundle) if self.bundle.card.finding else None
        self._workers = Workers(self.bundle, engine)
        weakref.finalize(self, self._workers.stop)

    def identify(self, sources: Iterable[Source]) -> Iterator[ImageReading]:
        """One reading per source, in their order; a bad image gives a reading that says why it is bad.

        Sources are taken as they are needed, a few dozen ahead (of files for processes a few hundred), and nothing is
        kept behind: memory does not grow with their number.

        Args:
            sources: Image files, or pixels as uint8 (height, width, 3), RGB. Pixels have no name and are
                called ``array-0``, ``array-1`` and so on, by their place among the sources.

        Raises:
            BundleError: Where the bundle's graph cannot run.
            LeukolensError: Where the reader is closed before processes have read everything.
        """
        coming = iter(sources)
        files = _files(coming, FILES_EACH * self.processes if self.processes > 1 else 0)
        coming = chain(files, coming)
        # One call at a time has the processes; another that comes in between is read by threads.
        if not self._workers.taken(len(files) // FILES_EACH):
            yield from in_order(coming, self.read_portion, CHUNK, self.threads)
            return
        try:
            # One more than processes: it unpacks what one answers while that goes on with the next portion.
            yield from in_order(coming, self._read_by_processes, CHUNK, self._workers.count + 1)
        finally:
            self._workers.give_back()

    @property
    def note(self) -> str:
        """One line where processes or an engine were to read and do not; empty otherwise."""
        if self._workers.trouble:
            return f"processes are not used: {self._workers.trouble}; threads read instead"
        # What they said of the engine need not be found out again.
        return self.classifier.choice.note if self._workers.said is None else self._workers.said

    def close(self) -> None:
        """Ends the processes, if any, and a call of `identify` that they are at; later calls are read by threads."""
        self._workers.stop()

    def _read_by_processes(self, sources: Sequence[Source], first: int) -> list[ImageReading]:
        if any(isinstance(source, np.ndarray) for source in sources):
            return self.read_portion(sources, first)
        paths = [named(source, 0) for source in sources]
        return self._workers.read(paths, lambda: self.read_portion(sources, first))

    def read_portion(self, sources: Sequence[Source], first: int = 0) -> list[ImageReading]:
        """The readings of some sources, in their order, by the thread that asks; named together in one run.

        Args:
            sources: As `identify` takes them; a few dozen at most.
            first: The place of the first of them among all.

        Raises:
            BundleError: Where the bundle's graph cannot run.
        """
        framed = [self._frame(source, number) for number, source in enumerate(sources, first)]
        crops = [found[0] for found in framed if not isinstance(found, ImageReading)]
        boxes = [found[1] for found in framed if not isinstance(found, ImageReading)]
        cells = judged(self.classifier, np.stack(crops), boxes) if crops else iter(())
        return [
            found
            if isinstance(found, ImageReading)
            else ImageReading(named(source, number), "ok", None, (next(cells),))
            for number, (source, found) in enumerate(zip(sources, framed, strict=True), first)
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


def _files(sources: Iterator[Source], most: int) -> list[Source]:
    """So many files of the sources at most, taken from them; the last one may be pixels."""
    files: list[Source] = []
    for source in islice(sources, most):
        files.append(source)
        if isinstance(source, np.ndarray):
            break
    return files


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
