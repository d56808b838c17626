"""A run's folder: what lies where, who may write, and what the run has come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from leukolens.errors import TrainingError
from leukolens.training import checkpoint
from leukolens.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of metrics.

    Attributes:
        epoch: From 1.
        train_loss: Mean over the epoch's augmented crops, in nats.
        train_accuracy: Share of them that was right.
        validation_loss: Mean over held-out crops, in nats; None where nothing is held out.
        validation_accuracy: Share of held-out crops that was right.
        validation_balanced: Mean over classes of the share that was right.
        rate: Learning rate at the epoch's end.
        seconds: Wall time.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    validation_balanced: float | None
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder.

    Attributes:
        folder: Where everything of it lies.
    """

    folder: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints, one an epoch."""
        return self.folder / "checkpoints"

    @property
    def interrupted(self) -> Path:
        """The checkpoint that Ctrl-C writes in the middle of an epoch, without suffix."""
        return self.checkpoints / "interrupted"

    def of_epoch(self, epoch: int) -> Path:
        """The checkpoint of an epoch, without suffix."""
        return self.checkpoints / f"epoch-{epoch:03d}"

    def write_held_out(self, epoch: int, logits: Tensor) -> None:
        """Keeps an epoch's logits of the held-out crops, (n, classes); small, so every epoch's stay."""
        path = self.folder / "held_out" / f"epoch-{epoch:03d}.safetensors"
        path.parent.mkdir(exist_ok=True)
        checkpoint.write_atomically(path, to_bytes({"logits": logits.contiguous()}))

    def held_out(self, epoch: int) -> Tensor:
        """An epoch's logits of the held-out crops, (n, classes), in the order of ``samples.json``.

        Raises:
            TrainingError: Where that epoch wrote none.
        """
        path = self.folder / "held_out" / f"epoch-{epoch:03d}.safetensors"
        try:
            return load_file(path)["logits"]
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"{path} cannot be read", "Train that fold again") from error

    def recipe(self) -> Recipe:
        """The recipe that the run was started with.

        Raises:
            TrainingError: Where the folder is no run, or its recipe is damaged.
        """
        path = self.folder / "recipe.json"
        if not path.is_file():
            raise TrainingError(
                f"{self.folder} is no training run", "Name the folder that `leukolens train --out` made"
            )
        try:
            text = path.read_text(encoding="utf-8")
            if json.loads(text).get("kind") == "detector":
                raise TrainingError(
                    f"{self.folder} is the run of a detector, which is no bundle by itself",
                    "Put it into one with `leukolens export RUN --into BUNDLE`",
                )
            return Recipe.model_validate_json(text)
        except (ValueError, AttributeError) as error:
            raise TrainingError(f"{path} is damaged", "Train again, into another folder") from error

    def epochs(self) -> list[Epoch]:
        """What was measured so far."""
        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return []
        return [Epoch(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]

    def best(self) -> int:
        """The epoch that validation chose; the last one where nothing was held out.

        Raises:
            TrainingError: Where no epoch is done.
        """
        epochs = self.epochs()
        if not epochs:
            raise TrainingError(
                f"{self.folder} has no finished epoch", "Go on with `leukolens train --resume`"
            )
        return choose(epochs)

    def write_epochs(self, epochs: list[Epoch]) -> None:
        """Replaces the metrics, and the note of the best epoch."""
        lines = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)
        checkpoint.write_atomically(self.folder / "metrics.jsonl", lines.encode())
        best = asdict(epochs[choose(epochs) - 1])
        checkpoint.write_atomically(self.folder / "best.json", (json.dumps(best, indent=1) + "\n").encode())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the folder against a second writer; the system lets go of it when the process dies.

        Raises:
            TrainingError: Where another process is training here.
        """
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                self._sweep()
                yield
        except Timeout as error:
            raise TrainingError(
                f"another process is training in {self.folder}", "Wait for it, or use another --out"
            ) from error

    def _sweep(self) -> None:
        """Deletes what a killed writer left half written."""
        for folder in (self.folder, self.checkpoints, self.folder / "held_out"):
            for part in folder.glob(".*.part"):
                part.unlink(missing_ok=True)


def choose(epochs: list[Epoch]) -> int:
    """The best epoch: lowest validation loss, then highest accuracy; the last where nothing is held out."""
    judged = [epoch for epoch in epochs if epoch.validation_loss is not None]
    if not judged:
        return epochs[-1].epoch
    return min(judged, key=lambda epoch: (epoch.validation_loss, -(epoch.validation_accuracy or 0))).epoch
