"""Reference ranges by age and sex: a TOML file that a laboratory edits, checked in full when it is read."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from leukolens.errors import LeukolensError
from leukolens.taxonomy import CLASSES

Sex = Literal["female", "male"]
_LEUKOCYTES = [kind.key for kind in CLASSES if kind.leukocyte]
_REMEDY = "Correct it there; docs/differential.md explains every field"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Range(_Part):
    """What is usual, both ends included; an end that is None is not looked at."""

    low: float | None = Field(None, ge=0, allow_inf_nan=False, description="lower end")
    high: float | None = Field(None, ge=0, allow_inf_nan=False, description="upper end")

    @model_validator(mode="after")
    def _some_width(self) -> Range:
        if self.low is None and self.high is None:
            raise ValueError("a range wants low, high or both")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class Band(_Part):
    """The ranges for one span of ages."""

    name: str = Field(min_length=1, description="what the band is called in a flag")
    from_years: float = Field(ge=0, allow_inf_nan=False, description="youngest age")
    below_years: float | None = Field(None, gt=0, allow_inf_nan=False, description="first age too old for it")
    sex: Sex | None = Field(None, description="for one sex only")
    total: Range = Field(description="leukocytes, 10^9/L")
    absolute: dict[str, Range] = Field(default={}, description="class key to range, 10^9/L")
    relative: dict[str, Range] = Field(default={}, description="class key to range, % of leukocytes")

    @field_validator("absolute", "relative")
    @classmethod
    def _known(cls, value: dict[str, Range]) -> dict[str, Range]:
        if unknown := [key for key in value if key not in _LEUKOCYTES]:
            raise ValueError(f"{', '.join(unknown)}: no leukocyte class; use {', '.join(_LEUKOCYTES)}")
        return value

    @field_validator("relative")
    @classmethod
    def _percent(cls, value: dict[str, Range]) -> dict[str, Range]:
        for key, span in value.items():
            if max(span.low or 0, span.high or 0) > 100:
                raise ValueError(f"{key}: a percentage is at most 100")
        return value

    @property
    def end(self) -> float:
        """First age too old for it, years; infinite where it has no end."""
        return math.inf if self.below_years is None else self.below_years


@dataclass(frozen=True, slots=True)
class Ranges:
    """What one person's differential is compared with.

    Attributes:
        name: The band's name.
        total: Leukocytes, 10^9/L.
        absolute: Class key to range, 10^9/L.
        relative: Class key to range, % of leukocytes.
    """

    name: str
    total: Range
    absolute: Mapping[str, Range]
    relative: Mapping[str, Range]


class RangeTable(_Part):
    """Every band of a laboratory; for each sex they cover each age exactly once."""

    band: tuple[Band, ...] = Field(min_length=1, strict=False, description="the bands")

    @model_validator(mode="after")
    def _covers_every_age(self) -> RangeTable:
        for sex in ("female", "male"):
            age, before = 0.0, "the beginning"
            for band in sorted(self._of(sex), key=lambda band: band.from_years):
                if band.end <= band.from_years:
                    raise ValueError(f"band {band.name!r}: below_years is not above from_years")
                if band.from_years != age:
                    what = "no band holds" if band.from_years > age else "two bands hold"
                    raise ValueError(
                        f"{what} between {before} and band {band.name!r}, at {min(age, band.from_years):g} "
                        f"years ({sex})"
                    )
                age, before = band.end, f"band {band.name!r}"
            if age != math.inf:
                raise ValueError(f"no band holds from {age:g} years on ({sex})")
        return self

    def for_person(self, age_years: float | None, sex: Sex | None) -> Ranges:
        """The ranges for somebody.

        Where the sex is not known and the laboratory has bands for each, the wider end of the two holds: a value
        that is usual for either is not flagged.

        Args:
            age_years: Age in years, e.g. 0.5; None for an adult.
            sex: None where not known.

        Raises:
            LeukolensError: Where the age is below 0 or no number.
        """
        if age_years is not None and not 0 <= age_years < math.inf:
            raise LeukolensError(f"an age of {age_years:g} years is none", "Give it in years, e.g. 0.5")
        age = math.inf if age_years is None else age_years
        bands = [
            band
            for band in self.band
            if (band.from_years <= age < band.end or age == band.end == math.inf)
            and (sex is None or band.sex in {None, sex})
        ]
        ranges = [Ranges(band.name, band.total, band.absolute, band.relative) for band in bands]
        return ranges[0] if len(ranges) == 1 else _wider(*ranges)

    def _of(self, sex: str) -> list[Band]:
        return [band for band in self.band if band.sex in {None, sex}]


def load_ranges(path: Path | None = None) -> RangeTable:
    """The ranges in a laboratory's file, or those that ship with the package.

    Raises:
        LeukolensError: Where the file cannot be read, or a field in it is wrong; names both.
    """
    name = str(path) if path else "ranges.toml"
    source = path or resources.files("leukolens.differential").joinpath("ranges.toml")
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise LeukolensError(f"{name} cannot be read ({error.strerror})", "Check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LeukolensError(f"{name} is not TOML ({error})", "Correct it there, as UTF-8 text") from error
    try:
        return RangeTable.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = _field(first["loc"], document)
        message = first["msg"].removeprefix("Value error, ")
        raise LeukolensError(f"{name}: {where}{message}", _REMEDY) from error


def _field(place: tuple[int | str, ...], document: dict[str, Any]) -> str:
    """The field as a person finds it: ``band 7 (adult): absolute.neutrophil.low: ``."""
    match place:
        case ("band", int(index), *rest):
            band = document["band"][index]
            name = band.get("name", "") if isinstance(band, dict) else ""
            field = ".".join(str(part) for part in rest)
            return f"band {index + 1}{f' ({name})' if name else ''}: {f'{field}: ' if field else ''}"
        case _:
            return f"{'.'.join(str(part) for part in place)}: " if place else ""


def _wider(one: Ranges, other: Ranges) -> Ranges:
    def joined(first: Mapping[str, Range], second: Mapping[str, Range]) -> dict[str, Range]:
        both = {key: _join(first[key], second[key]) for key in first if key in second}
        return {key: span for key, span in both.items() if span}

    total = _join(one.total, other.total)
    return Ranges(
        f"{one.name} or {other.name}",
        total or Range(low=0.0, high=None),  # nothing is below it, so nothing is flagged
        joined(one.absolute, other.absolute),
        joined(one.relative, other.relative),
    )


def _join(one: Range, other: Range) -> Range | None:
    """The wider range; None where each lacks the end that the other has, so that no end is left."""
    low = min(one.low, other.low) if one.low is not None and other.low is not None else None
    high = max(one.high, other.high) if one.high is not None and other.high is not None else None
    return Range(low=low, high=high) if (low, high) != (None, None) else None
