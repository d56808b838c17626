"""Which laboratories are left out in turn, and what of a recipe and of a detector is left without them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from leukolens.bundle import Bundle, load
from leukolens.datasets.catalogue import CLASSES, dataset_class, open_dataset
from leukolens.errors import BundleError, RecipeError
from leukolens.evaluation.unseen_answers import LABS, Lab
from leukolens.training.recipe import Recipe, changed
from leukolens.training.session import restricted


@dataclass(frozen=True, slots=True)
class Rotation:
    """One laboratory to ask, and all that the model must not have learned from.

    Attributes:
        lab: To ask.
        outer: Key of the laboratory that the outer rotation leaves out, None in an outer rotation.
    """

    lab: Lab
    outer: str | None = None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Keys of the laboratories that nothing may be learned from, sorted."""
        return tuple(sorted({self.lab.key} | ({self.outer} if self.outer else set())))

    @property
    def name(self) -> str:
        """Names its run: two inner rotations that leave out the same two share one."""
        return "+".join(self.left_out)

    @property
    def split(self) -> str:
        """Which part of the laboratory's set is asked."""
        return self.lab.inner_split if self.outer else self.lab.split


def rotations(recipe: Recipe, outer: str | None = None) -> tuple[Rotation, ...]:
    """The rotations over the laboratories of a recipe's data.

    Args:
        recipe: Whose data to rotate.
        outer: For inner rotations: the laboratory that none of them touches.

    Raises:
        RecipeError: Where the recipe knows too few laboratories, or not the outer one.
    """
    known = {dataset_class(data.name).lab for data in recipe.data}
    if outer is not None and outer not in known:
        raise RecipeError(f"{recipe.name} does not learn from {outer}", f"Use one of {', '.join(known)}")
    asked = [lab for lab in LABS if lab.key in known - {outer}]
    if len(asked) < 2:
        raise RecipeError(
            f"{recipe.name} learns from {', '.join(sorted(known))} alone: nothing would be left to learn from",
            "Add data of other labs",
        )
    return tuple(Rotation(lab, outer) for lab in asked)


def rotated(recipe: Recipe, rotation: Rotation, seed: int) -> Recipe:
    """The recipe without the laboratories that are left out, with the classes that the others hold.

    A fold of the others is held out, the recipe's own or the first, for temperature and threshold; the last epoch
    alone is judged by it, since it is the one that is asked.
    """
    kept = [data.name for data in recipe.data if dataset_class(data.name).lab not in rotation.left_out]
    fold = 0 if recipe.validation.fold is None else recipe.validation.fold
    return changed(
        restricted(recipe, kept), seed=seed, validation={"fold": fold, "every": recipe.schedule.epochs}
    )


def detector_for(folder: Path, rotation: Rotation) -> Bundle:
    """The bundle whose detector frames the cells of a rotation.

    Raises:
        BundleError: Where it is absent, has no detector, or its detector learned from what is left out or
            had its thresholds chosen there.
    """
    path = folder / f"{rotation.name}.leukolens"
    bundle = load(path)
    finding = bundle.card.finding
    if finding is None:
        raise BundleError(f"{path} has no detector", "Put one in with `leukolens export RUN --into BUNDLE`")
    sets = [name for name, kind in CLASSES.items() if kind.lab in rotation.left_out]
    seen = {part.name for part in finding.learned_from if part.lab in rotation.left_out}
    seen |= {name for name in sets if name in finding.chosen_on.replace(",", " ").split()}
    if seen or not finding.learned_from:
        whence = f"has seen {', '.join(sorted(seen))}" if seen else "does not say what it learned from"
        raise BundleError(
            f"{path}: its detector {whence}, and {rotation.name} is to be unseen",
            "Train one without, or leave --detectors out",
        )
    return bundle


def check(work: Iterable[tuple[Recipe, Rotation]], root: Path, detectors: Path | None) -> None:
    """Looks for whatever would end the experiment hours from now.

    Raises:
        LeukolensError: Where a data set or a detector is missing or unfit.
    """
    for recipe, rotation in work:
        for name in (rotation.lab.dataset, *(data.name for data in recipe.data)):
            open_dataset(name, root)
        rotated(recipe, rotation, recipe.seed)
        if detectors:
            detector_for(detectors, rotation)
