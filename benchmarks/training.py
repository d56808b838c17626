"""Training steps beside those of a DataLoader with worker processes that augments image by image.

Run with `python benchmarks/training.py [--steps N] [--json]`; no images are needed. Both sides train ResNet-24 by the
recipe `robust` on the same drawn crops of 168 pixels, shown at 112: ours changes a batch at a time on the device, the
other is what one would write oneself, a `Dataset` whose `__getitem__` changes one image by the very same functions,
with a worker process for each processor. They take long turns: workers fill their queue in the other's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from leukolens.reading.processor import processors
from leukolens.training import recipe, schedule
from leukolens.training.augment import augmented
from leukolens.training.precision import fabric_precision

CROPS = 512
TURN = 40
Pair = tuple[Tensor, Tensor]


class OneByOne(Dataset[Pair]):
    """Crops that are changed one at a time."""

    def __init__(self, crops: Tensor, truth: Tensor, own: recipe.Recipe) -> None:
        self.crops, self.truth, self.own = crops, truth, own

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, place: int) -> Pair:
        draw = torch.Generator().manual_seed(place)
        at = place % len(self.crops)
        view = augmented(self.crops[at : at + 1], self.own.framing.size, self.own.augment, draw)
        return view[0], self.truth[at]


def in_batches(crops: Tensor, truth: Tensor, own: recipe.Recipe) -> Iterator[Pair]:
    """Crops that are changed a batch at a time, as `leukolens train` does."""
    step = 0
    while True:
        draw = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(crops), (own.schedule.batch,), generator=draw)
        yield augmented(crops[chosen], own.framing.size, own.augment, draw), truth[chosen]
        step += 1


class Side:
    """A network that learns from pairs."""

    def __init__(self, pairs: Iterator[Pair], own: recipe.Recipe, network: nn.Module) -> None:
        self.pairs, self.network = pairs, network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = schedule.optimiser(self.network, own.optimiser)
        self.short = "bf16" in str(fabric_precision(own.precision, "cpu"))
        self.seconds = 0.0
        self.images = 0

    def steps(self, count: int) -> None:
        """Learns so many times, and keeps how long it took."""
        began = time.perf_counter()
        for _ in range(count):
            views, truth = next(self.pairs)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.short):
                logits = self.network(views.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), truth)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.images += len(truth)
        self.seconds += time.perf_counter() - began


def main() -> None:
    """Measures and prints, as a line or as JSON."""
    from leukolens.models.resnet import resnet24

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    own = recipe.load("robust")
    side, classes = round(own.framing.size * own.augment.margin), len(own.classes)
    rng = np.random.default_rng(0)
    crops = torch.from_numpy(rng.integers(0, 256, (CROPS, side, side, 3), np.uint8))
    truth = torch.from_numpy(rng.integers(0, classes, CROPS))
    torch.set_num_threads(processors())
    loader = DataLoader(OneByOne(crops, truth, own), batch_size=own.schedule.batch, num_workers=processors())
    ours = Side(in_batches(crops, truth, own), own, resnet24(classes, size=own.framing.size))
    theirs = Side(iter(loader), own, resnet24(classes, size=own.framing.size))
    for warmed in (ours, theirs):
        warmed.steps(3)
        warmed.seconds, warmed.images = 0.0, 0
    for _ in range(0, asked.steps, TURN):
        ours.steps(TURN)
        theirs.steps(TURN)
    rates = [side.images / side.seconds for side in (ours, theirs)]
    measured = {
        "recipe": own.name,
        "processors": processors(),
        "images_a_second": round(rates[0], 1),
        "data_loader_images_a_second": round(rates[1], 1),
        "ratio": round(rates[0] / rates[1], 2),
    }
    print(json.dumps(measured, indent=2) if asked.json else measured)


if __name__ == "__main__":
    main()
