"""A detector's recipe: everything that decides its weights, in one checked TOML document."""

from __future__ import annotations

import hashlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from leukolens.errors import RecipeError
from leukolens.training.recipe import Augment, Optimiser, Section, misfit

SHIPPED = "detector"
IDLE = ("rotation", "shift", "shear", "scale", "flips", "margin")
"""Fields of `Augment` that a detector's recipe has no use for."""


class Source(Section):
    """One data set that shows cells with their places."""

    name: str = Field(description="`bccd`, `raabin-500`, `pbc-224` or `tecom-300`")
    share: float = Field(gt=0, description="how often a view shows this set, beside the others' shares")


class Trunk(Section):
    """The network's size."""

    widths: tuple[int, int, int] = Field((16, 32, 64), description="3x3 convolutions of the three stages")
    depths: tuple[int, int, int] = Field((2, 3, 3), description="blocks a stage")
    neck: int = Field(48, ge=8, description="channels in which the stages are added up")

    @field_validator("widths", "depths")
    @classmethod
    def _some(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(value) < 1:
            raise ValueError("wants at least 1 in each stage")
        return value


class Views(Section):
    """What part of a scene a step shows, and how."""

    size: int = Field(224, ge=64, multiple_of=16, description="side of a view, in pixels")
    red_cell: float = Field(44.0, gt=8, description="a red cell's diameter at scale 1, in pixels")
    scale: tuple[float, float] = Field((0.4, 2.5), description="smallest and largest scale")
    usual: float = Field(0.6, ge=0, le=1, description="share of views near scale 1, where reading looks")
    usual_scale: tuple[float, float] = Field((0.75, 1.33), description="smallest and largest of those")
    mosaic: float = Field(0.35, ge=0, le=1, description="share of views put together from four scenes")
    tilt: float = Field(0.3, ge=0, le=1, description="share of views turned by up to 20 degrees more")

    @field_validator("scale", "usual_scale")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("wants two positive numbers, the smaller first")
        return value


class Rounds(Section):
    """How long."""

    epochs: int = Field(12, ge=1, description="number of epochs; each writes a checkpoint")
    steps: int = Field(160, ge=1, description="steps an epoch")
    batch: int = Field(16, ge=1, description="views a step")


class HeldOut(Section):
    """What is held out of bccd to choose thresholds by."""

    folds: int = Field(5, ge=2, le=20, description="parts that bccd's fields are dealt into")
    fold: int | None = Field(0, ge=0, description="the part that is held out; none where null")


class DetectorRecipe(Section):
    """A whole run."""

    kind: Literal["detector"] = Field(description="`detector`: what tells this recipe from a classifier's")
    name: str = Field(pattern=r"^[a-z0-9-]+$", description="names the run")
    seed: int = Field(0, ge=0, description="decides every random draw")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the network's arithmetic")
    data: list[Source] = Field(min_length=1, description="what to learn from")
    network: Trunk = Trunk.model_validate({})
    views: Views = Views.model_validate({})
    augment: Augment = Augment.model_validate({})
    optimiser: Optimiser
    schedule: Rounds = Rounds.model_validate({})
    validation: HeldOut = HeldOut.model_validate({})

    @model_validator(mode="after")
    def _holds_together(self) -> DetectorRecipe:
        names = [source.name for source in self.data]
        if len(set(names)) != len(names):
            raise ValueError("data: wants each set once")
        if self.validation.fold is not None and self.validation.fold >= self.validation.folds:
            raise ValueError("validation: fold must be below folds")
        plain = Augment.model_validate({})
        idle = [name for name in IDLE if getattr(self.augment, name) != getattr(plain, name)]
        if idle:
            raise ValueError(
                f"augment: {idle[0]} does nothing to a detector's views; `views` turns and scales"
            )
        return self

    def digest(self) -> str:
        """sha256 of what decides the weights, apart from the seed and the fold that is held out."""
        validation = self.validation.model_copy(update={"fold": None})
        same = self.model_copy(update={"seed": 0, "validation": validation})
        return hashlib.sha256(same.model_dump_json().encode()).hexdigest()


def is_detector(name_or_path: str) -> bool:
    """Whether this names the detector's recipe, or is a TOML file that says it is one."""
    if name_or_path == SHIPPED:
        return True
    try:
        text = Path(name_or_path).read_text(encoding="utf-8")
        return tomllib.loads(text).get("kind") == "detector"
    except (OSError, ValueError):
        return False  # the classifier's loader says what is wrong with it


def load(name_or_path: str = SHIPPED) -> DetectorRecipe:
    """The shipped recipe, or the TOML file at this path.

    Raises:
        RecipeError: Where there is none, or it does not hold together.
    """
    try:
        if name_or_path == SHIPPED:
            text = resources.files("leukolens.training.finding").joinpath("detector.toml").read_text("utf-8")
        else:
            text = Path(name_or_path).read_text(encoding="utf-8")
        return DetectorRecipe.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{name_or_path} cannot be read as a recipe ({error})", "Mend that file") from error
    except ValidationError as error:
        raise misfit(error, name_or_path) from error
