"""One rotation: trains without a laboratory, exports, and asks the one that was left out.

Protocol question 2. Nothing of a laboratory that is left out chooses anything: the epoch is the last one,
temperature and threshold come from a fold of the laboratories that are left, and what frames its cells has
not seen it either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from leukolens.bundle import Bundle, load
from leukolens.datasets.base import CellDataset
from leukolens.datasets.catalogue import open_dataset
from leukolens.errors import TrainingError
from leukolens.evaluation import answers as answering
from leukolens.evaluation import ledger
from leukolens.evaluation.evaluate import entered
from leukolens.evaluation.measures import headline
from leukolens.evaluation.official_test import HELD_OUT_PREFIX, Variant, fields_in_train, variants
from leukolens.evaluation.trust import calibration_measures
from leukolens.evaluation.unseen_answers import Asked
from leukolens.evaluation.unseen_labs import restricted as of_those_that_count
from leukolens.reading.choice import REFERENCE
from leukolens.reading.reader import Reader
from leukolens.training.checkpoint import write_atomically
from leukolens.training.crops import Progress
from leukolens.training.export import export_run
from leukolens.training.finding.export import with_detector
from leukolens.training.loop import Watch
from leukolens.training.recipe import Recipe
from leukolens.training.rotations import Rotation, detector_for, rotated
from leukolens.training.run import Run
from leukolens.training.session import Place, train


@dataclass(frozen=True, slots=True)
class Watches:
    """Who hears of what.

    Attributes:
        training: Makes the watch of a training, given its name and its recipe.
        framing: Hears of framing.
        asking: Passes readings on.
    """

    training: Callable[[str, Recipe], Watch] = lambda name, recipe: Watch()
    framing: Progress | None = None
    asking: answering.Watch | None = None


def run_rotation(
    recipe: Recipe,
    rotation: Rotation,
    seed: int,
    place: Place,
    *,
    detectors: Path | None = None,
    ledger_path: Path,
    watches: Watches | None = None,
) -> Asked:
    """Trains, exports and asks; what is finished already is taken from the folder.

    An outer rotation's look is entered in the ledger when the laboratory is asked. An inner one's is not:
    it is a look at data that the outer rotation learns from.

    Args:
        recipe: Of all laboratories.
        rotation: Which to leave out.
        seed: To train with.
        place: Where; the run lies below it as ``<recipe>/<left out>/seed-<seed>``.
        detectors: Folder of one bundle a rotation, ``<left out>.leukolens``, whose detector frames; the
            nucleus finder frames where None.
        ledger_path: The ledger.
        watches: Who hears of it.

    Raises:
        LeukolensError: Where data or a detector is missing, a detector learned from what is left out, or
            training or asking fails.
    """
    heard, own = watches or Watches(), rotated(recipe, rotation, seed)
    at = replace(place, out=place.out / recipe.name / rotation.name / f"seed-{seed}")
    finder = detector_for(detectors, rotation) if detectors else None
    bundle = _bundle(own, at, f"{recipe.name} without {rotation.name}, seed {seed}", heard)
    strays = {part.lab for part in bundle.card.learned_from} & {*rotation.left_out}
    if strays:
        raise TrainingError(
            f"{at.out} learned from {', '.join(strays)}", "Train it again, into another folder"
        )
    if finder is not None and finder.detector and finder.card.finding:
        bundle = with_detector(bundle, finder.detector, finder.card.finding)
    kept = at.out / f"answers-{rotation.lab.key}{'' if finder is None else '-detector'}.json"
    if kept.is_file():
        asked = Asked.from_json(kept.read_text(encoding="utf-8"))
        if (asked.bundle_sha256, asked.split) == (bundle.sha256, rotation.split):
            return asked
    dataset = open_dataset(rotation.lab.dataset, place.root)
    samples = dataset.samples(rotation.split)
    asked = Asked(
        lab=rotation.lab,
        left_out=rotation.left_out,
        split=rotation.split,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=ledger.code_commit(),
        card=bundle.card,
        bundle_sha256=bundle.sha256,
        answers=answering.ask(Reader(bundle, engine=REFERENCE), samples, dataset.root, heard.asking),
    )
    if rotation.outer is None:
        _enter(asked, dataset, ledger_path)
    write_atomically(kept, asked.to_json().encode())
    return asked


def _bundle(recipe: Recipe, place: Place, name: str, heard: Watches) -> Bundle:
    """The run's bundle, of its last epoch; trained and exported where that isn't done yet."""
    run, file = Run(place.out), place.out / "model.leukolens"
    if not _finished(run, recipe):
        file.unlink(missing_ok=True)
        train(recipe, place, resume=True, watch=heard.training(name, recipe), progress=heard.framing)
    if file.is_file():
        return load(file)
    return export_run(place.out, file, root=place.root, cache=place.cache, epoch=recipe.schedule.epochs)


def _finished(run: Run, recipe: Recipe) -> bool:
    """Whether this very recipe's run is done.

    Raises:
        TrainingError: Where another recipe's stands in its place.
    """
    if not (run.folder / "recipe.json").is_file():
        return False
    there = run.recipe()
    if (there.digest(), there.seed, there.validation) != (recipe.digest(), recipe.seed, recipe.validation):
        raise TrainingError(
            f"{run.folder} was trained by another recipe that is called {there.name}, too",
            "Give the recipe a name of its own, or use another --out",
        )
    return len(run.epochs()) >= recipe.schedule.epochs


def _enter(asked: Asked, dataset: CellDataset, path: Path) -> None:
    _, predictions = of_those_that_count(asked)
    official: tuple[Variant, ...] = ()
    if all(group.startswith(HELD_OUT_PREFIX) for group in predictions.groups):
        official = variants(predictions, fields_in_train(dataset.samples()))
    card = asked.card
    look = ledger.Look(
        asked.commit, card.recipe_sha256, card.seed, asked.bundle_sha256, dataset.name, asked.split
    )
    entered(path, look, headline(predictions), official, calibration_measures(predictions).expected_error)
