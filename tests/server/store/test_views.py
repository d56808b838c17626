"""What was made of an image lies by its digest, and goes with it."""

from __future__ import annotations

from io import BytesIO

import pytest

from leukolens.errors import Missing
from leukolens.server.store.files import Files
from leukolens.server.store.views import Views


@pytest.fixture
def views(files: Files) -> Views:
    return Views(files)


@pytest.fixture
def image(files: Files) -> str:
    return files.put(BytesIO(b"a field"), 100).sha256


def test_a_view_is_kept_by_its_image_and_goes_with_all_others_of_it(views: Views, image: str) -> None:
    assert views.all() == []
    place = views.put(image, "view.jpg", b"a view")
    assert place == views.path(image, "view.jpg") == views.folder / image[:2] / image / "view.jpg"
    assert views.put(image, "view.jpg", b"made anew").read_bytes() == b"made anew"
    views.put(image, "evidence-1.json", b"{}")
    assert views.all() == [image]
    views.remove(image)
    views.remove(image)
    assert not place.exists()
    assert views.all() == []


def test_nothing_is_left_of_an_image_that_was_removed_while_its_view_was_made(
    views: Views, files: Files, image: str
) -> None:
    files.remove(image)
    with pytest.raises(Missing):
        views.put(image, "view.jpg", b"a view")
    assert views.all() == []
    assert list((files.folder / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("image", "name"), [("../../x", "view.jpg"), ("a" * 64, "../x"), ("a" * 64, ""), ("", "view.jpg")]
)
def test_no_other_name_leads_anywhere(views: Views, image: str, name: str) -> None:
    with pytest.raises(Missing):
        views.path(image, name)
