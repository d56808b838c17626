"""Training steps beside those of a DataLoader with worker processes that augments image by image.

Run with `python benchmarks/training.py [--steps N] [--json]`; no images are needed. All sides train ResNet-24 by the
recipe `robust` on the same drawn crops of 168 pixels, shown at 112: ours changes a batch at a time on the device, the
other is what one would write oneself, a `Dataset` whose `__getitem__` changes one image by the very same functions,
with a worker process for each processor. It takes the same step after that; a third side takes the step that torch
takes by itself: float32, in torch's own order of memory. They take long turns: workers fill their queue in the others'.
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
    """A network that learns from pairs, by Leukolens' step or by torch's own."""

    def __init__(
        self, pairs: Iterator[Pair], own: recipe.Recipe, network: nn.Module, *, plain: bool = False
    ) -> None:
        self.order = torch.contiguous_format if plain else torch.channels_last
        self.pairs, self.network = pairs, network.to(memory_format=self.order)  # type: ignore[call-overload]
        self.optimiser = schedule.optimiser(self.network, own.optimiser)
        self.short = not plain and "bf16" in str(fabric_precision(own.precision, "cpu"))
        self.seconds = 0.0
        self.images = 0

    def steps(self, count: int) -> None:
        """Learns so many times, and keeps how long it took."""
        began = time.perf_counter()
        for _ in range(count):
            views, truth = next(self.pairs)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.short):
                logits = self.network(views.contiguous(memory_format=self.order))
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

    def loaded() -> Iterator[Pair]:
        rows = OneByOne(crops, truth, own)
        return iter(DataLoader(rows, batch_size=own.schedule.batch, num_workers=processors()))

    def network() -> nn.Module:
        return resnet24(classes, size=own.framing.size)

    sides = {
        "images_a_second": Side(in_batches(crops, truth, own), own, network()),
        "data_loader": Side(loaded(), own, network()),
        "data_loader_and_torchs_step": Side(loaded(), own, network(), plain=True),
    }
    for warmed in sides.values():
        warmed.steps(3)
        warmed.seconds, warmed.images = 0.0, 0
    for _ in range(0, asked.steps, TURN):
        for each in sides.values():
            each.steps(TURN)
    rates = {name: round(each.images / each.seconds, 1) for name, each in sides.items()}
    first, *others = rates.values()
    measured = {
        "recipe": own.name,
        "processors": processors(),
        **rates,
        "ratios": [round(first / other, 2) for other in others],
    }
    print(json.dumps(measured, indent=2) if asked.json else measured)


if __name__ == "__main__":
    main()
