"""From a detector's recipe to a finished run: reads the scenes, holds fields out, trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leukolens.errors import TrainingError
from leukolens.training.checkpoint import write_atomically
from leukolens.training.crops import Progress
from leukolens.training.finding.loop import FindingTrainer, Round
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import Scene, scenes_of
from leukolens.training.loop import Watch
from leukolens.training.run import Run

CHOSEN_ON = "bccd"


def fold_of(fields: list[str], folds: int) -> dict[str, int]:
    """The fold of each field: dealt in a fixed random order, so that every fold has as many."""
    different = sorted(set(fields))
    order = np.random.default_rng(0).permutation(len(different))
    return {different[place]: number % folds for number, place in enumerate(order)}


def teaching(recipe: DetectorRecipe, scenes: list[Scene]) -> list[Scene]:
    """The scenes that a run learns from: all but bccd's fields of the fold that it holds out."""
    fold = recipe.validation.fold
    if fold is None:
        return scenes
    own = [scene.field for scene in scenes if scene.name.startswith(f"{CHOSEN_ON}/")]
    folds = fold_of(own, recipe.validation.folds)
    kept = [scene for scene in scenes if folds.get(scene.field) != fold]
    if len(kept) == len(scenes) or not kept:
        raise TrainingError(
            f"there is no field of {CHOSEN_ON} to hold out", "Add it to the data, or use --fold none"
        )
    return kept


def train_detector(
    recipe: DetectorRecipe,
    root: Path,
    out: Path,
    *,
    accelerator: str = "auto",
    resume: bool = False,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> list[Round]:
    """Trains a detector into a folder.

    Args:
        recipe: What to do.
        root: The folder of data sets.
        out: The run's folder.
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        resume: Go on where the folder's run stopped; without it a folder with a run is refused.
        watch: Hears of steps and epochs.
        progress: Hears of reading the sets, as (done, of how many).

    Raises:
        LeukolensError: Where data is missing, the folder is taken, or training fails.
    """
    run = Run(out)
    recipe_file = out / "recipe.json"
    if recipe_file.is_file() and not resume:
        raise TrainingError(f"{out} already holds a run", "Go on with --resume, or use another --out")
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    with run.alone():
        document = recipe.model_dump_json(indent=2) + "\n"
        if recipe_file.is_file() and recipe_file.read_text(encoding="utf-8") != document:
            raise TrainingError(
                f"{out} was trained by another recipe, seed or fold", "Use that recipe, or another --out"
            )
        write_atomically(recipe_file, document.encode())
        scenes: list[Scene] = []
        for number, source in enumerate(recipe.data, start=1):
            scenes += scenes_of(source.name, root)
            if progress:
                progress(number, len(recipe.data))
        trainer = FindingTrainer(recipe, run, teaching(recipe, scenes), accelerator=accelerator)
        if resume:
            trainer.resume()
        return trainer.fit(watch or Watch())
