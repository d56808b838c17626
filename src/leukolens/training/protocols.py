"""Cross-fitting: every photograph answered by a network that never saw it, then one run on all of them.

This is how protocol question 1 chooses its epoch, temperature and threshold without a look at TEST.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leukolens.errors import TrainingError
from leukolens.training.checkpoint import write_atomically
from leukolens.training.crops import Crops, Progress, framed, samples_of
from leukolens.training.export import trained
from leukolens.training.familiarity import familiarity_of, features_of
from leukolens.training.judgement import HeldOut, Judged, held_out_words, judge, write_judgement
from leukolens.training.loop import Watch
from leukolens.training.recipe import Recipe, changed
from leukolens.training.run import Epoch, Run
from leukolens.training.session import Place, split, train


@dataclass(frozen=True, slots=True)
class CrossFit:
    """What cross-fitting chose.

    Attributes:
        epoch: Where the held-out loss, averaged over all held-out images, is lowest.
        judged: What the pooled answers of that epoch say.
    """

    epoch: int
    judged: Judged


def fold_recipe(recipe: Recipe, fold: int | None) -> Recipe:
    """The recipe with this fold held out, or none."""
    return changed(recipe, validation={"fold": fold})


def fold_place(place: Place, fold: int) -> Place:
    """Where the run that holds this fold out lies, below the whole run's folder."""
    return replace(place, out=place.out / f"fold-{fold}")


def cross_fit(
    recipe: Recipe,
    place: Place,
    *,
    watch: Callable[[str], Watch] = lambda name: Watch(),
    progress: Progress | None = None,
) -> CrossFit:
    """Trains each fold that isn't finished yet, pools their answers, then trains on everything.

    Args:
        recipe: What to do; its own ``validation.fold`` does not matter.
        place: Where; folds lie below it as ``fold-0`` and so on.
        watch: Makes the watch of a part, given its name.
        progress: Hears of framing.

    Raises:
        LeukolensError: As `session.train`.
    """
    folds = range(recipe.validation.folds)
    for fold in folds:
        part = fold_place(place, fold)
        if len(Run(part.out).epochs()) < recipe.schedule.epochs:
            train(
                # The epoch that all folds choose together looks again at what it is unsure of.
                changed(fold_recipe(recipe, fold), checkpoints={"keep": "all"}),
                part,
                resume=True,
                watch=watch(f"fold {fold + 1} of {len(folds)}"),
                progress=progress,
            )
    chosen = pool(recipe, place)
    judged = chosen.judged
    write_judgement(judged.judgement, judged.confusion, chosen.epoch, place.out / "judgement.json")
    write_atomically(place.out / "held_out.json", judged.predictions.to_json().encode())
    whole = fold_recipe(recipe, None)
    if chosen.epoch != recipe.schedule.epochs:
        whole = changed(whole, checkpoints={"keep": "all"})
    train(whole, place, resume=True, watch=watch("all photographs"), progress=progress)
    return chosen


def pool(recipe: Recipe, place: Place) -> CrossFit:
    """Puts the folds' held-out answers together and chooses by them.

    Raises:
        TrainingError: Where a fold is not finished, or did not keep the chosen epoch.
    """
    runs = [Run(fold_place(place, fold).out) for fold in range(recipe.validation.folds)]
    for run in runs:
        if len(run.epochs()) < recipe.schedule.epochs:
            raise TrainingError(
                f"{run.folder} is not finished", "Go on with `leukolens train --cross-fit --resume`"
            )
    crops = framed(
        samples_of(recipe, place.root),
        recipe.classes,
        recipe.framing,
        margin=recipe.augment.margin,
        cache=place.cache,
    )
    parts = [split(crops, fold_recipe(recipe, fold))[1] for fold in range(recipe.validation.folds)]
    epoch = best_epoch([run.epochs() for run in runs], [len(part) for part in parts])
    samples = [sample for part in parts for sample in part.samples]
    chosen_on = (
        f"{held_out_words(samples)}, each answered by a network that never saw its group "
        f"({recipe.validation.folds}-fold cross-fitting, epoch {epoch})"
    )
    held_out = [_held_out(fold_recipe(recipe, fold), run, epoch, crops) for fold, run in enumerate(runs)]
    names = [_name(sample.path, place.root) + sample.place for sample in samples]
    return CrossFit(epoch, judge(recipe, held_out, names, chosen_on))


def _held_out(recipe: Recipe, run: Run, epoch: int, crops: Crops) -> HeldOut:
    """What a fold's network says of what it never saw, and how far that lies from what it learned."""
    network = trained(run, epoch)
    teach, held_out = split(crops, recipe)
    known = familiarity_of(network, teach, recipe)
    away = None if known is None else known.distance(features_of(network, held_out.pixels, recipe))
    return HeldOut(held_out, run.held_out(epoch).numpy(), network, away)


def best_epoch(folds: list[list[Epoch]], sizes: list[int]) -> int:
    """The epoch with the lowest loss over all held-out images."""
    losses = np.array([[epoch.validation_loss for epoch in fold] for fold in folds], dtype=np.float64)
    return int(np.nanargmin(np.average(losses, axis=0, weights=sizes))) + 1


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else "/".join(path.parts[-2:])
