"""What a bundle's card says of the run that it comes from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import leukolens
from leukolens.card import Card, Figure, Judgement, LearnedFrom
from leukolens.datasets.catalogue import NAMES, dataset_class
from leukolens.errors import TrainingError
from leukolens.evaluation.ledger import code_commit
from leukolens.models.resnet import ResNet
from leukolens.training.crops import Crops
from leukolens.training.recipe import Recipe


def card_of(
    recipe: Recipe,
    network: ResNet,
    judgement: Judgement,
    teach: Crops,
    figures: tuple[Figure, ...],
    root: Path,
) -> Card:
    """The card of a run's bundle.

    Args:
        recipe: That the run followed.
        network: That is exported.
        judgement: When its answers are safe.
        teach: The crops that it learned from.
        figures: Measured figures.
        root: The folder of data sets.
    """
    return Card(
        name=f"{recipe.name}-{recipe.network.name}",
        leukolens=leukolens.__version__,
        commit=code_commit(),
        created=datetime.now(UTC).date().isoformat(),
        network=recipe.network.name,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        recipe=recipe.name,
        recipe_sha256=recipe.digest(),
        seed=recipe.seed,
        classes=recipe.classes,
        framing=recipe.framing,
        judgement=judgement,
        learned_from=learned_from(recipe, teach, root),
        figures=list(figures),
    )


def learned_from(recipe: Recipe, teach: Crops, root: Path) -> list[LearnedFrom]:
    """One entry a data set: what of it taught the network, and under which licence."""
    entries = []
    for data in recipe.data:
        named = data.name in NAMES
        publication = dataset_class(data.name).publication if named else None
        folder = root / data.name if named else Path(data.name)
        own = [sample for sample in teach.samples if sample.path.is_relative_to(folder)]
        groups = sorted({sample.group for sample in own})
        entries.append(
            LearnedFrom(
                name=data.name if named else Path(data.name).name,
                lab=own[0].lab if own else "",
                licence=publication.licence if publication else "the user's own",
                permissive=publication.permissive if publication else False,
                splits=sorted(Counter(sample.split for sample in own)),
                images=len({sample.path for sample in own}),
                groups=len(groups),
                groups_sha256=hashlib.sha256("".join(f"{group}\n" for group in groups).encode()).hexdigest(),
                left_out="the photographs of blood-cells TEST and others of the same fields"
                if named and dataset_class(data.name).lab == "blood-cells"
                else "",
            )
        )
    return entries


def read_figures(path: Path) -> tuple[Figure, ...]:
    """Measured figures for the card, from a JSON list.

    Raises:
        TrainingError: Where the file is none.
    """
    try:
        return tuple(Figure.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f"{path} holds no figures ({error})", "Write a JSON list of name, value, low, high, command"
        ) from error
