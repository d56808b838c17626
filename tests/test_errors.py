"""Every error says in one line what was wrong and what to do about it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from leukolens import errors
from leukolens.errors import ImageError, LeukolensError

FAMILY = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LeukolensError)
]


def test_an_error_reads_as_problem_then_remedy() -> None:
    error = LeukolensError("the slide is blank", "Use another slide")
    assert str(error) == "the slide is blank. Use another slide."
    assert (error.problem, error.remedy) == ("the slide is blank", "Use another slide")


def test_an_error_without_a_remedy_ends_after_the_problem() -> None:
    assert str(LeukolensError("the slide is blank", "")) == "the slide is blank."


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_one_except_clause_catches_every_error_of_the_family(kind: type[LeukolensError]) -> None:
    arguments = (None, "what", "Do") if kind is ImageError else ("what", "Do")
    with pytest.raises(LeukolensError, match=r"what\. Do\.$"):
        raise kind(*arguments)  # type: ignore[arg-type]


def test_an_image_error_names_the_file_and_keeps_the_reason_apart() -> None:
    error = ImageError(Path("a/b.png"), "is cut short", "Copy it again")
    assert str(error) == f"{Path('a/b.png')}: is cut short. Copy it again."
    assert error.path == Path("a/b.png")
    assert error.reason == "is cut short"


def test_an_image_that_came_as_bytes_is_called_image() -> None:
    error = ImageError(None, "is cut short", "Copy it again")
    assert str(error).startswith("image: is cut short")
    assert error.path is None


def test_a_failed_download_is_a_failure_of_data() -> None:
    assert issubclass(errors.DownloadError, errors.DataError)


@pytest.mark.parametrize("error", [LeukolensError("what", "Do"), ImageError(Path("a.png"), "what", "Do")])
def test_an_error_survives_the_way_to_another_process(error: LeukolensError) -> None:
    received = pickle.loads(pickle.dumps(error))  # what multiprocessing does
    assert (type(received), str(received), vars(received)) == (type(error), str(error), vars(error))
