"""A training recipe: everything that decides a run's weights, in one checked TOML document."""

from __future__ import annotations

import hashlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from leukolens.card import Framing
from leukolens.errors import RecipeError
from leukolens.taxonomy import CLASS_KEYS


class Section(BaseModel):
    """A table of a recipe: no unknown fields, and nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Kind = TypeVar("Kind", bound=Section)


class Network(Section):
    """Which network, and how it starts."""

    name: Literal["resnet24", "resnet18", "resnet50"] = Field("resnet24", description="the network")
    head: Literal["pool", "flatten"] = Field("pool", description="global average, or one weight a place")
    norm: Literal["batch", "group"] = Field("batch", description="normalisation layers")
    bias: bool = Field(False, description="biases in the convolutions")
    stride_first: bool = Field(False, description="a block's stride in its first 1x1 instead of its 3x3")
    epsilon: float = Field(1e-5, gt=0, description="added to the variance in the normalisation")
    momentum: float = Field(
        0.1, gt=0, le=1, description="weight of the newest batch in batch-norm's statistics"
    )
    smooth: bool = Field(False, description="soften what is asked as turning softens what is shown")


class Data(Section):
    """One data set that the run learns from."""

    name: str = Field(description="a name that `leukolens data list` knows, or a folder of class folders")
    splits: list[str] = Field(default=[], description="the splits to use; all of them where empty")
    red_cells: int = Field(
        0, ge=0, description="so many of the red cells boxed in each image are learned as *other*"
    )


class Augment(Section):
    """Random changes to every crop, drawn anew each time it is shown."""

    rotation: float = Field(0.0, ge=0, le=180, description="largest turn either way, in degrees")
    shift: float = Field(0.0, ge=0, lt=1, description="largest shift along each axis, as a share of the side")
    shear: float = Field(0.0, ge=0, lt=90, description="largest shear, in degrees")
    scale: tuple[float, float] = Field((1.0, 1.0), description="smallest and largest enlargement")
    flips: bool = Field(False, description="mirror left-right and top-bottom, each half of the time")
    colour: float = Field(
        0.0, ge=0, lt=1, description="brightness, contrast and saturation change by up to this share"
    )
    stain: float = Field(
        0.0, ge=0, lt=1, description="haematoxylin, eosin and residual densities change by up to this share"
    )
    strange: float = Field(
        1.0, ge=0, le=1, description="share of crops that density, exchange and mixing change"
    )
    density: float = Field(
        0.0, ge=0, le=1, description="deviation of the logarithm of a factor on all absorbances"
    )
    exchange: float = Field(
        0.0, ge=0, le=1, description="share of crops that take over some of another's coarse colours"
    )
    mixing: float = Field(
        0.0,
        ge=0,
        le=1,
        description="deviation of a random mixing of the colours' absorbances, for other stains",
    )
    blur: float = Field(0.0, ge=0, le=1, description="share of crops that are blurred by up to 1.5 pixels")
    grey: float = Field(0.0, ge=0, le=1, description="share of crops shown without colour")
    margin: float = Field(
        1.0, ge=1, le=2, description="how much more than the crop is kept around it to turn into view"
    )

    @field_validator("scale")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("scale wants two positive numbers, the smaller first")
        return value


class Optimiser(Section):
    """How weights move."""

    name: Literal["adam", "adamw"] = Field("adamw", description="the optimiser")
    rate: float = Field(gt=0, description="highest learning rate")
    decay: float = Field(0.0, ge=0, description="weight decay; not on biases and normalisation")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the steps over which the rate rises from 0")
    cosine: bool = Field(False, description="let the rate fall to 0 along a half cosine")
    smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing")
    average: float = Field(0.0, ge=0, lt=1, description="decay of the running average of weights; 0 for none")


class Schedule(Section):
    """How long, and in which portions."""

    epochs: int = Field(ge=1, description="number of epochs; each writes a checkpoint")
    batch: int = Field(ge=1, description="crops a step")
    draws: int = Field(0, ge=0, description="crops an epoch; 0 for as many as there are")
    small_epochs: int = Field(
        0, ge=0, description="epochs at the beginning that see smaller crops, for speed"
    )
    small_size: int = Field(80, ge=32, description="side of those smaller crops, in pixels")


class Sampling(Section):
    """Which crops an epoch shows."""

    balance: float = Field(
        0.0, ge=0, le=1, description="0: every image alike; 1: every class of every lab alike"
    )


class Validation(Section):
    """What is held out to choose the epoch by."""

    folds: int = Field(5, ge=2, le=20, description="parts that the groups are dealt into, class by class")
    fold: int | None = Field(0, ge=0, description="the part that is held out; none where null")
    every: int = Field(
        1, ge=1, description="epochs from one judgement to the next; the last is always judged"
    )


class Checkpoints(Section):
    """Which checkpoints stay on the disk."""

    keep: int | Literal["all"] = Field(2, description="the last so many, and the best; or all")


class Recipe(Section):
    """A whole run."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", description="names the run and the bundle")
    seed: int = Field(0, ge=0, description="decides every random draw")
    classes: list[str] = Field(
        description="taxonomy keys that the network tells apart; other cells are left out"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the network's arithmetic; a processor without bfloat16 takes float32"
    )
    framing: Framing = Field(default=Framing.model_validate({}), description="how an image becomes a crop")
    network: Network = Network.model_validate({})
    data: list[Data] = Field(min_length=1, description="what to learn from")
    augment: Augment = Augment.model_validate({})
    optimiser: Optimiser
    schedule: Schedule
    sampling: Sampling = Sampling.model_validate({})
    validation: Validation = Validation.model_validate({})
    checkpoints: Checkpoints = Checkpoints.model_validate({})

    @model_validator(mode="after")
    def _holds_together(self) -> Recipe:
        unknown = [key for key in self.classes if key not in CLASS_KEYS]
        if unknown:
            raise ValueError(f"classes: {', '.join(unknown)} not in the taxonomy")
        if len(set(self.classes)) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: wants at least two, each once")
        if self.validation.fold is not None and self.validation.fold >= self.validation.folds:
            raise ValueError("validation: fold must be below folds")
        if self.network.head == "flatten" and self.schedule.small_epochs:
            raise ValueError("schedule: a flatten head sees one size only; set small_epochs to 0")
        if self.schedule.small_epochs > self.schedule.epochs:
            raise ValueError("schedule: small_epochs exceeds epochs")
        return self

    def digest(self) -> str:
        """sha256 of what decides the weights, apart from the seed and the fold that is held out."""
        same = self.model_copy(
            update={
                "seed": 0,
                "validation": self.validation.model_copy(update={"fold": None}),
                "checkpoints": Checkpoints.model_validate({}),
            }
        )
        return hashlib.sha256(same.model_dump_json(exclude={"validation": {"every"}}).encode()).hexdigest()


def changed(recipe: Kind, **sections: Any) -> Kind:
    """The recipe with fields or whole sections replaced, checked again; a dict changes a section's fields.

    Raises:
        RecipeError: Where the result does not hold together.
    """
    document = recipe.model_dump()
    for name, value in sections.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    try:
        return type(recipe).model_validate(document)
    except ValidationError as error:
        raise misfit(error, str(document["name"])) from error


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    folder = resources.files("leukolens.training.recipes")
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    )


def parse(text: str, origin: str) -> Recipe:
    """The recipe in this TOML text; ``origin`` names it in errors.

    Raises:
        RecipeError: Where it is no TOML, or a field is unknown or out of range.
    """
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is no TOML ({error})", "Mend that line") from error
    except ValidationError as error:
        raise misfit(error, origin) from error


def misfit(error: ValidationError, origin: str) -> RecipeError:
    """What is wrong with the first field that does not fit; ``origin`` names the recipe."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "recipe"
    return RecipeError(f"{origin}: {where}: {first['msg']}", "docs/recipes.md lists every field")


def load(name_or_path: str) -> Recipe:
    """A shipped recipe by its name, or the TOML file at this path.

    Raises:
        RecipeError: Where there is none, or it does not hold together.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        try:
            return parse(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} cannot be read ({error})", "Check the path") from error
    if name_or_path not in shipped():
        raise RecipeError(
            f"no recipe {name_or_path!r}", f"Use one of {', '.join(shipped())}, or the path of a TOML file"
        )
    folder = resources.files("leukolens.training.recipes")
    return parse(folder.joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8"), name_or_path)
