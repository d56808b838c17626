"""`identify` beside what one would write oneself: the same finder, crop and network, image by image, in torch eager.

Run with `python benchmarks/plain_loop.py [--count N] [--engine NAME] [--threads] [--json]`, on blood-cells TEST where
LEUKOLENS_DATA has it, else on drawn cells. Both sides take turns over the same portions of files, so that what else
the machine does meets both. The plain loop decodes with Pillow, asks the bundle's detector and nucleus finder as they
are, and names with torch on all processors. Speed is no look at TEST: the answers are compared with each other alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from speed import images
from torch.nn import functional as F

from leukolens.imaging.framing import frame_within
from leukolens.imaging.nucleus import slide_of
from leukolens.reading.inputs import scaled, side_of
from leukolens.reading.processor import processors
from leukolens.reading.reader import FILES_EACH, Reader
from leukolens.training.fine_tuning_network import network_of

PORTION = FILES_EACH * max(2, processors())
"""Files of one turn: so many that each processor has its process, begun before anything is measured."""
SWITCH = 0.0005
"""As the command line has it, seconds."""


class PlainLoop:
    """One image after the other, with the reader's own finder and crop."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.network = network_of(reader.bundle).eval()
        self.judgement = reader.bundle.card.judgement

    def name(self, path: Path) -> str | None:
        """The class of the image's cell; None where none is found."""
        rgb = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        slide = slide_of(rgb)
        assert self.reader.detector is not None
        box = self.reader.detector.white_cell(rgb, slide)
        if box is None:
            return None
        crop = frame_within(rgb, box, self.reader.bundle.card.framing, slide)[0][None]
        probabilities = self.look(crop)
        if probabilities.max() < self.judgement.accept_above:
            others = [self.look(side_of(crop, number)) for number in range(1, self.judgement.sides)]
            probabilities = torch.stack([probabilities, *others]).mean(0)
        return self.reader.classifier.classes[int(probabilities.argmax())]

    def look(self, crop: np.ndarray) -> torch.Tensor:
        """Calibrated probabilities of one crop."""
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(scaled(crop)))
        return F.softmax(logits[0] / self.judgement.temperature, dim=0)


def main() -> None:
    """Measures and prints, as a line or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", action="store_true", help="read by threads of one process alone")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(processors())
    sys.setswitchinterval(SWITCH)
    reader = Reader(engine=asked.engine, processes=0 if asked.threads else processors())
    plain = PlainLoop(reader)
    with images() as (what, _, files):
        chosen = [files[int(place)] for place in np.linspace(0, len(files) - 1, asked.count)]
        plain.name(chosen[0])
        list(reader.identify(chosen[:PORTION]))
        ours = theirs = 0.0
        alike = 0
        for at in range(0, len(chosen), PORTION):
            portion = chosen[at : at + PORTION]
            began = time.perf_counter()
            labels = [
                reading.cells[0].label if reading.cells else None for reading in reader.identify(portion)
            ]
            between = time.perf_counter()
            expected = [plain.name(path) for path in portion]
            theirs += time.perf_counter() - between
            ours += between - began
            alike += sum(one == other for one, other in zip(labels, expected, strict=True))
    measured = {
        "images": f"{len(chosen)} of {what}",
        "engine": reader.classifier.runs_on,
        "processors": processors(),
        "processes": 0 if asked.threads or processors() < 2 or reader.note else processors(),
        "identify_images_a_second": round(len(chosen) / ours, 1),
        "plain_loop_images_a_second": round(len(chosen) / theirs, 1),
        "ratio": round(theirs / ours, 2),
        "named_alike": round(alike / len(chosen), 4),
    }
    print(json.dumps(measured, indent=2) if asked.json else measured)


if __name__ == "__main__":
    main()
