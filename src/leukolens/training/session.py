"""From a recipe to a finished run: frames the cells, deals the folds, trains, writes what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukolens.datasets.catalogue import dataset_class
from leukolens.errors import RecipeError, TrainingError
from leukolens.taxonomy import OTHER
from leukolens.training.checkpoint import write_atomically
from leukolens.training.crops import Crops, Progress, deal, framed, samples_of
from leukolens.training.loop import Trainer, Watch
from leukolens.training.recipe import Recipe, changed
from leukolens.training.run import Epoch, Run


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session works.

    Attributes:
        root: The folder of data sets.
        out: The run's folder.
        cache: Folder of framed crops, None to keep none.
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        compiled: Whether to compile the step.
    """

    root: Path
    out: Path
    cache: Path | None = None
    accelerator: str = "auto"
    compiled: bool = False


def restricted(recipe: Recipe, sets: list[str]) -> Recipe:
    """The recipe on some of its data sets only, with the classes that these hold.

    Raises:
        RecipeError: Where a set is not among the recipe's.
    """
    unknown = [name for name in sets if name not in {data.name for data in recipe.data}]
    if unknown:
        raise RecipeError(f"the recipe does not learn from {', '.join(unknown)}", "Name sets of its `data`")
    kept = [data for data in recipe.data if data.name in sets]
    held = {key for data in kept for key in dataset_class(data.name).classes}
    held |= {OTHER for data in kept if data.red_cells}
    return changed(
        recipe,
        data=[data.model_dump() for data in kept],
        classes=[key for key in recipe.classes if key in held],
    )


def train(
    recipe: Recipe,
    place: Place,
    *,
    resume: bool = False,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> list[Epoch]:
    """Trains a recipe into a folder.

    Args:
        recipe: What to do.
        place: Where.
        resume: Go on where the folder's run stopped; without it a folder with a run is refused.
        watch: Hears of steps and epochs.
        progress: Hears of framing, as (done, of how many).

    Raises:
        LeukolensError: Where data is missing, the folder is taken, or training fails.
    """
    run = Run(place.out)
    if (place.out / "recipe.json").is_file() and not resume:
        raise TrainingError(f"{place.out} already holds a run", "Go on with --resume, or use another --out")
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    with run.alone():
        crops = framed(
            samples_of(recipe, place.root), recipe.classes, recipe.framing,
            margin=recipe.augment.margin, cache=place.cache, progress=progress,
        )  # fmt: skip
        teach, held_out = split(crops, recipe)
        if (place.out / "recipe.json").is_file() and run.recipe() != recipe:
            raise TrainingError(
                f"{place.out} was trained by another recipe, seed or fold",
                "Use that recipe, or another --out",
            )
        write_atomically(place.out / "recipe.json", (recipe.model_dump_json(indent=2) + "\n").encode())
        write_atomically(place.out / "samples.json", _listing(teach, held_out, crops, place.root).encode())
        trainer = Trainer(
            recipe, run, teach, held_out, accelerator=place.accelerator, compiled=place.compiled
        )
        if resume:
            trainer.resume()
        return trainer.fit(watch or Watch())


def split(crops: Crops, recipe: Recipe) -> tuple[Crops, Crops]:
    """What teaches and what is held out, by fields; the latter empty where the recipe holds out nothing."""
    if recipe.validation.fold is None:
        return crops, crops.take(np.array([], dtype=np.int64))
    held = deal(crops, recipe.validation.folds) == recipe.validation.fold
    if not held.any() or held.all():
        raise TrainingError("too few photographs to hold a fold out", "Add images, or lower validation.folds")
    return crops.take(np.flatnonzero(~held)), crops.take(np.flatnonzero(held))


def _listing(teach: Crops, held_out: Crops, crops: Crops, root: Path) -> str:
    """Every sample's name, class, lab, group and licence, so that a bundle's card can say what it learned."""
    parts = {"teach": teach.samples, "held_out": held_out.samples, "no_cell": crops.missing}
    document = {
        part: [
            [
                _relative(sample.path, root) + sample.place,
                *(sample.label, sample.lab, sample.split, sample.group, sample.field),
            ]
            for sample in samples
        ]
        for part, samples in parts.items()
    }
    return json.dumps(document) + "\n"


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else "/".join(path.parts[-2:])
