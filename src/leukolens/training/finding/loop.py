"""The detector's training loop: epochs of views, a checkpoint after each, exact resumption."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from leukolens.errors import TrainingError
from leukolens.imaging.color import WHITE_LEVEL
from leukolens.models.detector import Detector
from leukolens.training import checkpoint, schedule
from leukolens.training.augment import restyled
from leukolens.training.checkpoint import AVERAGE, NETWORK, Average, part
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import Scene
from leukolens.training.finding.targets import loss, targets
from leukolens.training.finding.views import view
from leukolens.training.loop import Watch
from leukolens.training.precision import fabric_precision
from leukolens.training.run import Epoch, Run


@dataclass(frozen=True, slots=True)
class Round:
    """One line of metrics.

    Attributes:
        epoch: From 1.
        loss: Mean over the epoch's steps.
        rate: Learning rate at the epoch's end.
        seconds: Wall time.
    """

    epoch: int
    loss: float
    rate: float
    seconds: float


def build(recipe: DetectorRecipe) -> Detector:
    """The recipe's network with its first weights, drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    spec = recipe.network
    return Detector(spec.widths, spec.depths, spec.neck)


def weights_of(recipe: DetectorRecipe, scenes: list[Scene]) -> NDArray[np.float64]:
    """How often each scene is drawn: its set's share, dealt evenly; they add up to 1."""
    shares = {source.name: source.share for source in recipe.data}
    sets = [scene.name.split("/")[0] for scene in scenes]
    sizes = Counter(sets)
    weights = np.array([shares[name] / sizes[name] for name in sets])
    return np.asarray(weights / weights.sum())


class FindingTrainer:
    """One run, from its first step or from the last whole epoch in its folder.

    Args:
        recipe: What to do.
        run: Where to write.
        scenes: What to learn from.
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``.
    """

    def __init__(
        self, recipe: DetectorRecipe, run: Run, scenes: list[Scene], *, accelerator: str = "auto"
    ) -> None:
        precision = fabric_precision(recipe.precision, accelerator)
        self.fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)
        self.fabric.launch()
        self.recipe, self.run, self.scenes = recipe, run, scenes
        self.weights = weights_of(recipe, scenes)
        self.plain = build(recipe).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.plain.to(self.fabric.device)
        self.average = Average(self.plain, recipe.optimiser.average) if recipe.optimiser.average else None
        self.bare_optimiser = schedule.optimiser(self.plain, recipe.optimiser)
        self.model, self.optimiser = self.fabric.setup(self.plain, self.bare_optimiser)
        self.rounds: list[Round] = []

    def resume(self) -> None:
        """Takes up the latest whole epoch in the run's folder; does nothing where there is none."""
        paths = checkpoint.complete(self.run.checkpoints)
        if not paths:
            return
        tensors, facts = checkpoint.load(paths[-1])
        if facts["digest"] != self.recipe.digest() or facts["seed"] != self.recipe.seed:
            raise TrainingError(
                f"{self.run.folder} was trained by another recipe or seed",
                "Use that recipe, or another --out",
            )
        self.plain.load_state_dict(part(tensors, NETWORK))
        checkpoint.restore_optimiser(self.bare_optimiser, tensors)
        if self.average:
            self.average.tensors = {
                name: value.to(self.fabric.device) for name, value in part(tensors, AVERAGE).items()
            }
        self.rounds = [Round(**entry) for entry in facts["epochs"]]
        self._write_metrics()  # a kill may have come between the checkpoint and its line

    def fit(self, watch: Watch) -> list[Round]:
        """Trains until the recipe's last epoch.

        Raises:
            KeyboardInterrupt: Where ``watch.stop`` said so; the last whole epoch is on the disk.
            TrainingError: Where the loss is no longer a number, or the disk is full.
        """
        for number in range(len(self.rounds) + 1, self.recipe.schedule.epochs + 1):
            began = time.monotonic()
            mean = self._teach(number, watch)
            if not np.isfinite(mean):
                raise TrainingError(f"the loss of epoch {number} is no number", "Lower optimiser.rate")
            rate = float(self.bare_optimiser.param_groups[0]["lr"])
            entry = Round(number, mean, rate, round(time.monotonic() - began, 1))
            self.rounds.append(entry)
            self._save(self.run.of_epoch(number))
            watch.epoch(Epoch(number, mean, float("nan"), None, None, None, rate, entry.seconds))
        return self.rounds

    def _teach(self, number: int, watch: Watch) -> float:
        recipe, steps = self.recipe, self.recipe.schedule.steps
        total = steps * recipe.schedule.epochs
        summed = torch.zeros((), dtype=torch.float64)
        self.model.train()
        for step in range(steps):
            at = (number - 1) * steps + step
            rng = np.random.default_rng([recipe.seed, at])
            shown = [view(self.scenes, self.weights, recipe.views, rng) for _ in range(recipe.schedule.batch)]
            draw = torch.Generator().manual_seed(recipe.seed * 1_000_003 + at)
            pixels = torch.from_numpy(np.stack([each.pixels for each in shown])).to(self.fabric.device)
            bright = pixels.permute(0, 3, 1, 2).float() / WHITE_LEVEL
            inputs = restyled(bright, recipe.augment, draw)
            wanted = tuple(each.to(self.fabric.device) for each in targets(shown))
            for group in self.bare_optimiser.param_groups:
                group["lr"] = schedule.rate(recipe.optimiser, at, total)
            cost = loss(self.model(inputs.contiguous(memory_format=torch.channels_last)), wanted)  # type: ignore[arg-type]
            self.optimiser.zero_grad()
            self.fabric.backward(cost)
            self.optimiser.step()
            if self.average:
                self.average.follow(self.plain, at + 1)
            summed += cost.detach().cpu().double()
            watch.step(number, step + 1, steps)
            if watch.stop():
                raise KeyboardInterrupt
        return float(summed) / steps

    def _save(self, path: Path) -> None:
        tensors = {f"{NETWORK}{name}": value for name, value in self.plain.state_dict().items()}
        tensors |= checkpoint.optimiser_tensors(self.bare_optimiser)
        if self.average:
            tensors |= {f"{AVERAGE}{name}": value for name, value in self.average.tensors.items()}
        epochs = [asdict(entry) for entry in self.rounds]
        facts = {"digest": self.recipe.digest(), "seed": self.recipe.seed, "epochs": epochs}
        checkpoint.save(path, tensors, facts)
        self._write_metrics()
        for older in checkpoint.complete(self.run.checkpoints)[:-2]:
            checkpoint.remove(older)

    def _write_metrics(self) -> None:
        lines = "".join(json.dumps(asdict(entry)) + "\n" for entry in self.rounds)
        checkpoint.write_atomically(self.run.folder / "metrics.jsonl", lines.encode())

    def finished(self) -> Detector:
        """The network with its averaged weights, ready to answer."""
        network = build(self.recipe)
        tensors = self.average.tensors if self.average else self.plain.state_dict()
        network.load_state_dict({name: value.cpu() for name, value in tensors.items()})
        return network.eval()
