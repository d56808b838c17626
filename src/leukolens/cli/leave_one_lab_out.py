"""`leukolens evaluate --protocol leave-one-lab-out`: recipes on laboratories that they never saw."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from leukolens.cli.evaluate_shown import text_of
from leukolens.cli.results import make, write
from leukolens.cli.training_progress import Progress

if TYPE_CHECKING:
    from leukolens.evaluation.unseen_document import Rotated
    from leukolens.evaluation.unseen_labs import LabFigures
    from leukolens.reading.cell import ImageReading
    from leukolens.training.loop import Watch
    from leukolens.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Options:
    """What was typed, as `leukolens evaluate` has it."""

    out: Path
    data: Path | None = None
    ledger: Path | None = None
    inner: str | None = None
    seeds: str | None = None
    detectors: Path | None = None
    device: str = "auto"
    threads: int | None = None
    cache: Path | None = None


def leave_one_lab_out(names: list[str], options: Options, *, as_json: bool) -> None:
    """Runs what is not done yet, then writes the page and the JSON and prints the table.

    Raises:
        LeukolensError: Where a recipe, data or a detector is missing or unfit, or a run fails.
    """
    import logging

    from leukolens.datasets.base import data_root
    from leukolens.evaluation import ledger
    from leukolens.evaluation.unseen_answers import LABS
    from leukolens.evaluation.unseen_document import Rotated, to_json
    from leukolens.evaluation.unseen_labs import lab_figures
    from leukolens.evaluation.unseen_page import unseen_page
    from leukolens.training.rotation_run import Watches, run_rotation
    from leukolens.training.rotations import check, rotations
    from leukolens.training.session import Place

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    recipes = _recipes(names)
    work = [(recipe, rotation) for recipe in recipes for rotation in rotations(recipe, options.inner)]
    seeds, root = _seeds(options.seeds), data_root(options.data)
    check(work, root, options.detectors)
    make(options.out)
    entered = options.ledger or ledger.default_ledger(options.out)
    place = Place(root, options.out, options.cache, options.device)
    figures = []
    bars = _Bars()
    watches = Watches(bars.training, bars.framing, bars.asking)
    with bars:
        for recipe, rotation in work:
            asked = [
                run_rotation(
                    recipe, rotation, seed, place, detectors=options.detectors, ledger_path=entered,
                    watches=watches,
                )
                for seed in seeds or [recipe.seed]
            ]  # fmt: skip
            figures.append(lab_figures(asked))
    present = {own.lab for own in figures}
    rotated = Rotated(
        command=shlex.join(["leukolens", *sys.argv[1:]]),
        outer=options.inner,
        methods=tuple(recipe.name for recipe in recipes),
        labs=tuple(lab.key for lab in LABS if lab.key in present),
        figures=tuple(figures),
        looks=ledger.looks(entered),
    )
    text = to_json(rotated)
    page = options.out / f"leave-one-lab-out{f'-inside-{options.inner}' if options.inner else ''}.html"
    write(page.with_suffix(".json"), text)
    write(page, unseen_page(rotated, root))
    if as_json:
        sys.stdout.write(text)
    else:
        _show(rotated, page)


def _recipes(names: list[str]) -> list[Recipe]:
    from leukolens.errors import RecipeError
    from leukolens.training.recipe import load

    recipes = [load(name) for name in names]
    for index, recipe in enumerate(recipes):
        if recipe.name in {other.name for other in recipes[:index]}:
            raise RecipeError(f"two recipes are called {recipe.name}", "Give each a `name` of its own")
    return recipes


def _seeds(text: str | None) -> list[int]:
    words = [word.strip() for word in text.split(",")] if text else []
    if any(not word.isdecimal() for word in words) or len({*words}) != len(words):
        raise typer.BadParameter("different whole numbers are wanted, by commas", param_hint="--seeds")
    return [int(word) for word in words]


class _Bars(Progress):
    """The bars of trainings of any length, and of the asking between them."""

    def __init__(self) -> None:
        super().__init__(epochs=1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not as an error: there is no --resume here to send anybody to.
        super().__exit__(None, None, None)
        if kind is KeyboardInterrupt:
            self.console.print("Finished work is kept; the same command goes on.")

    def training(self, name: str, recipe: Recipe) -> Watch:
        """The watch of one training."""
        self.epochs = recipe.schedule.epochs
        return self.watch(name)

    def asking(self, readings: Iterator[ImageReading], total: int) -> Iterable[ImageReading]:
        """Passes readings on; an asking that is stopped is begun again next time."""
        task = self.bars.add_task("asking", total=total)
        for reading in readings:
            if self.stopping:
                raise KeyboardInterrupt
            yield reading
            self.bars.advance(task)


def _show(rotated: Rotated, page: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    shown = Table(title="Laboratories never seen", title_justify="left")
    for heading in ("lab", "recipe", "images", "accuracy", "balanced accuracy", "80 % most certain", "ECE"):
        shown.add_column(heading, justify="left" if heading in {"lab", "recipe"} else "right")
    for lab in rotated.labs:
        for own in rotated.of(lab):
            shown.add_row(lab, own.method, str(own.images), *_texts(own))
    console.print(shown)
    if rotated.outer:
        console.print(f"Inner rotations: {rotated.outer} was not touched, and no look is entered.")
    else:
        console.print(f"The ledger holds {rotated.looks} looks at held-out data.")
    console.print(f"{page}", soft_wrap=True, markup=False)


def _texts(own: LabFigures) -> list[str]:
    shares = (own.accuracy, own.balanced_accuracy, own.most_certain)
    return [*(text_of(figure.mean) for figure in shares), f"{own.expected_error.mean.value:.3f}"]
