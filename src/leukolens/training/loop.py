"""The training loop: epochs of augmented crops, a checkpoint after each, exact resumption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional as F

from leukolens.errors import TrainingError
from leukolens.models.resnet import NETWORKS, ResNet
from leukolens.training import checkpoint, curves, schedule
from leukolens.training.augment import augmented, centre
from leukolens.training.checkpoint import AVERAGE, NETWORK, Average, part
from leukolens.training.crops import Crops
from leukolens.training.precision import fabric_precision
from leukolens.training.recipe import Recipe
from leukolens.training.run import Epoch, Run


@dataclass(frozen=True, slots=True)
class Watch:
    """What a caller hears of a run, and how it asks it to stop.

    Attributes:
        step: Called after each step with (epoch, step, steps an epoch).
        epoch: Called after each epoch.
        stop: Asked after each step; True saves the state and leaves.
    """

    step: Callable[[int, int, int], None] = lambda epoch, step, steps: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    stop: Callable[[], bool] = lambda: False


def build(recipe: Recipe) -> ResNet:
    """The recipe's network with its first weights, drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    spec = recipe.network
    return NETWORKS[spec.name](
        len(recipe.classes), head=spec.head, norm=spec.norm, size=recipe.framing.size, bias=spec.bias,
        stride_first=spec.stride_first, epsilon=spec.epsilon, momentum=spec.momentum, smooth=spec.smooth,
    )  # fmt: skip


class Trainer:
    """One run, from its first step or from where its folder says it stopped.

    Args:
        recipe: What to do.
        run: Where to write.
        teach: Wide crops to learn from.
        held_out: Wide crops to choose the epoch by; may be empty.
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        compiled: Whether to compile the step.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Run,
        teach: Crops,
        held_out: Crops,
        *,
        accelerator: str = "auto",
        compiled: bool = False,
    ) -> None:
        precision = fabric_precision(recipe.precision, accelerator)
        self.fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)
        self.fabric.launch()
        self.recipe, self.run = recipe, run
        self.teach, self.held_out = teach, held_out
        plain = build(recipe).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        device = self.fabric.device
        plain.to(device)
        self.average = Average(plain, recipe.optimiser.average) if recipe.optimiser.average else None
        self.plain = plain
        if compiled:
            plain.compile()
        self.bare_optimiser = schedule.optimiser(plain, recipe.optimiser)
        self.model, self.optimiser = self.fabric.setup(plain, self.bare_optimiser)
        on_device = device.type != "cpu"
        self.pixels = torch.from_numpy(teach.pixels)
        self.truth = torch.from_numpy(teach.truth)
        if on_device:
            self.pixels, self.truth = self.pixels.to(device), self.truth.to(device)
        self.epochs: list[Epoch] = []
        self.steps = len(schedule.order(recipe, teach.samples, 1)) // recipe.schedule.batch or 1
        self.done_steps = 0
        self.sums = torch.zeros(3, dtype=torch.float64)

    def resume(self) -> None:
        """Takes up the latest state in the run's folder; does nothing where there is none."""
        run = self.run
        paths = [path for path in checkpoint.complete(run.checkpoints) if path != run.interrupted]
        if run.interrupted.with_suffix(".json").is_file():
            paths.append(run.interrupted)
        if not paths:
            return
        tensors, facts = checkpoint.load(paths[-1])
        if facts["digest"] != self.recipe.digest() or facts["seed"] != self.recipe.seed:
            raise TrainingError(
                f"{run.folder} was trained by another recipe or seed", "Use that recipe, or another --out"
            )
        self.plain.load_state_dict(part(tensors, NETWORK))
        checkpoint.restore_optimiser(self.bare_optimiser, tensors)
        if self.average:
            self.average.tensors = {
                name: value.to(self.fabric.device) for name, value in part(tensors, AVERAGE).items()
            }
        self.epochs = [Epoch(**entry) for entry in facts["epochs"]]
        self.done_steps = facts["steps_into_epoch"]
        self.sums = torch.tensor(facts["sums"], dtype=torch.float64)
        if self.epochs:
            self._publish()  # a kill may have come between the checkpoint and these

    def fit(self, watch: Watch) -> list[Epoch]:
        """Trains until the recipe's last epoch.

        Raises:
            KeyboardInterrupt: After the state was saved, where ``watch.stop`` said so.
            TrainingError: Where the loss is no longer a number, or the disk is full.
        """
        for number in range(len(self.epochs) + 1, self.recipe.schedule.epochs + 1):
            began = time.monotonic()
            finished = self._teach(number, watch)
            loss, right, seen = self.sums.tolist()
            _must_be_finite(loss, f"loss of epoch {number}")
            if not finished:
                self._save(self.run.interrupted)
                raise KeyboardInterrupt
            rate = float(self.bare_optimiser.param_groups[0]["lr"])
            epoch = Epoch(number, loss / seen, right / seen, None, None, None, rate, 0.0)
            if len(self.held_out) and schedule.judged(self.recipe, number):
                logits = self.predict(self.held_out, schedule.size(self.recipe, number))
                self.run.write_held_out(number, logits)
                epoch = _judged(epoch, logits, torch.from_numpy(self.held_out.truth))
                _must_be_finite(epoch.validation_loss, f"held-out loss of epoch {number}")
            epoch = replace(epoch, seconds=round(time.monotonic() - began, 1))
            self.epochs.append(epoch)
            self.done_steps, self.sums = 0, torch.zeros(3, dtype=torch.float64)
            self._save(self.run.of_epoch(number))
            checkpoint.remove(self.run.interrupted)
            self._publish()
            watch.epoch(epoch)
            if number < self.recipe.schedule.epochs and watch.stop():
                raise KeyboardInterrupt
        return self.epochs

    def _teach(self, number: int, watch: Watch) -> bool:
        """One epoch from where it stands; False where it was asked to stop."""
        recipe, batch = self.recipe, self.recipe.schedule.batch
        order = torch.from_numpy(schedule.order(recipe, self.teach.samples, number))
        side = schedule.size(recipe, number)
        total = self.steps * recipe.schedule.epochs
        sums = self.sums.to(
            self.fabric.device, torch.float32 if self.fabric.device.type == "mps" else torch.float64
        )
        self.model.train()
        for step in range(self.done_steps, self.steps):
            at = (number - 1) * self.steps + step
            chosen = order[step * batch : (step + 1) * batch]
            draw = torch.Generator().manual_seed(recipe.seed * 1_000_003 + at)
            crops = self.pixels[chosen.to(self.pixels.device)]
            truth = self.truth[chosen.to(self.truth.device)]
            views = augmented(crops, side, recipe.augment, draw).contiguous(memory_format=torch.channels_last)
            for group in self.bare_optimiser.param_groups:
                group["lr"] = schedule.rate(recipe.optimiser, at, total)
            logits = self.model(views)
            loss = F.cross_entropy(logits.float(), truth, label_smoothing=recipe.optimiser.smoothing)
            self.optimiser.zero_grad()
            self.fabric.backward(loss)
            self.optimiser.step()
            if self.average:
                self.average.follow(self.plain, at + 1)
            right = (logits.detach().argmax(1) == truth).sum()
            sums += torch.stack([loss.detach() * len(chosen), right, torch.full_like(right, len(chosen))]).to(
                sums
            )
            watch.step(number, step + 1, self.steps)
            self.done_steps = step + 1
            if step + 1 < self.steps and watch.stop():
                self.sums = sums.cpu().double()
                return False
        self.sums = sums.cpu().double()
        return True

    @torch.no_grad()
    def predict(self, crops: Crops, size: int, batch: int = 64) -> Tensor:
        """Logits, float32 (n, classes), of undistorted crops by the averaged weights where there are any."""
        own = {name: value.clone() for name, value in self.plain.state_dict().items()}
        if self.average:
            self.plain.load_state_dict(self.average.tensors)
        self.model.eval()
        margin, device = self.recipe.augment.margin, self.fabric.device
        pixels = torch.from_numpy(crops.pixels)
        logits = [
            self.model(centre(piece.to(device), size, margin).contiguous(memory_format=torch.channels_last))
            for piece in torch.split(pixels, batch)
        ]
        self.plain.load_state_dict(own)
        return torch.cat(logits).float().cpu()

    def _save(self, path: Path) -> None:
        tensors = {f"{NETWORK}{name}": value for name, value in self.plain.state_dict().items()}
        tensors |= checkpoint.optimiser_tensors(self.bare_optimiser)
        if self.average:
            tensors |= {f"{AVERAGE}{name}": value for name, value in self.average.tensors.items()}
        facts = {
            "digest": self.recipe.digest(), "seed": self.recipe.seed, "steps_into_epoch": self.done_steps,
            "sums": self.sums.tolist(), "epochs": [asdict(epoch) for epoch in self.epochs],
        }  # fmt: skip
        checkpoint.save(path, tensors, facts)

    def _publish(self) -> None:
        """Brings metrics, curves and kept checkpoints up to the finished epochs."""
        self.run.write_epochs(self.epochs)
        self._tidy()
        curves.write(self.run, self.epochs)

    def _tidy(self) -> None:
        """Deletes the checkpoints that the recipe doesn't keep."""
        keep = self.recipe.checkpoints.keep
        if keep == "all":
            return
        paths = checkpoint.complete(self.run.checkpoints)
        spared = {*paths[-max(1, keep) :], self.run.of_epoch(self.run.best())}
        for path in paths:
            if path not in spared:
                checkpoint.remove(path)


def _must_be_finite(loss: float | None, name: str) -> None:
    if loss is not None and not math.isfinite(loss):
        raise TrainingError(
            f"the {name} is no number", "Lower optimiser.rate; the last checkpoint is from before"
        )


def _judged(epoch: Epoch, logits: Tensor, truth: Tensor) -> Epoch:
    """The epoch with what the held-out crops say of it."""
    right = (logits.argmax(1) == truth).double()
    recalls = [right[truth == index].mean() for index in torch.unique(truth)]
    return replace(
        epoch,
        validation_loss=float(F.cross_entropy(logits, truth)),
        validation_accuracy=float(right.mean()),
        validation_balanced=float(torch.stack(recalls).mean()),
    )
