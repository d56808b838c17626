"""Every error a user can meet. Each says in one line what was wrong and what to do about it."""

from __future__ import annotations

from pathlib import Path


class LeukolensError(Exception):
    """The root of the family; catching it catches all that Leukolens raises on purpose.

    Args:
        problem: What is wrong, naming the file or the value.
        remedy: What the user can do, in the imperative.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}." if self.remedy else f"{self.problem}."


class ImageError(LeukolensError):
    """An image that cannot be decoded, or not safely.

    Args:
        path: The image, or None where it came as bytes.
        problem: What is wrong with it, without its name.
        remedy: What the user can do.
    """

    def __init__(self, path: Path | None, problem: str, remedy: str) -> None:
        super().__init__(f"{path if path is not None else 'image'}: {problem}", remedy)
        self.path = path
        self.reason = problem
        self.args = (path, problem, remedy)  # what another process needs to make it again


class DataError(LeukolensError):
    """A data set that is absent, incomplete or not what its manifest says."""


class DownloadError(DataError):
    """A publisher's address that did not give the expected bytes."""


class RecipeError(LeukolensError):
    """A training recipe that does not hold together."""


class BundleError(LeukolensError):
    """A bundle that is damaged, or made for another version."""


class EngineError(LeukolensError):
    """An engine that was asked for and that this machine, or the bundle, does not have."""


class TrainingError(LeukolensError):
    """A training run that cannot start, go on or be exported."""


class ReportError(LeukolensError):
    """A report or table that cannot be written."""


class ServerError(LeukolensError):
    """Something that the server cannot do, whoever asks."""


class Refused(ServerError):
    """Something that this person may not do."""


class Missing(ServerError):
    """Something that is not there, or not for this person."""


class Conflict(ServerError):
    """Something that what has happened meanwhile does not allow."""


class Unfit(ServerError):
    """Something that a client sent and that cannot be taken."""
