"""Before and after by the cells that were named while no answer was shown."""

import csv

import pytest

from leukolens.adaptation.adapt import adapt
from leukolens.adaptation.document import document
from leukolens.bundle import load
from leukolens.datasets.folder import Folder
from leukolens.errors import LeukolensError
from leukolens.reading.reader import Reader

STAIN = (0.0, -0.08, 0.4)
EVEN = dict.fromkeys(("neutrophil", "eosinophil", "basophil"), 20)


@pytest.fixture
def reader(colour_bundle):
    return Reader(colour_bundle, threads=1)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "own.leukolens"


@pytest.fixture
def named(make_lab):
    """A laboratory, of each class of which the first cells were named blind."""

    def make(count, called=lambda path: path.parent.name, **options):
        root = make_lab(EVEN, **options)
        with (root / "groups.csv").open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(("image", "group", "blind"))
            for key in EVEN:
                for place, path in enumerate(sorted((root / key).iterdir())):
                    name = path.relative_to(root).as_posix()
                    table.writerow((name, name, called(path) if place < count else ""))
        return Folder(root)

    return make


def test_the_verdict_and_the_cards_figures_rest_on_blind_cells_where_there_are_enough(reader, named, out):
    found = adapt(reader, named(8, stain=STAIN), out)
    assert (found.blind.cells, found.blind.groups, found.blind.reason) == (24, 24, None)
    assert found.decides is found.blind.comparison
    assert [line.cells for line in found.blind.comparison.classes] == [8, 8, 8]
    assert [line.cells for line in found.comparison.classes] == [20, 20, 20]
    assert found.verdict == found.blind.comparison.verdict == "better"
    adapted = load(out).card.adapted
    assert adapted.blind == 24
    assert adapted.after[1].value == found.blind.comparison.balanced.after.value
    told = document(found, out)["blind"]
    assert (told["cells"], told["decides"], told["reason"]) == (24, True, None)
    assert (
        told["balanced_accuracy"]["difference"]["value"] == found.blind.comparison.balanced.difference.value
    )


def test_what_blind_names_speak_against_is_refused_however_well_the_others_agree(reader, named, out):
    def as_the_bundle_answers(path):
        (reading,) = reader.identify([path])
        return reading.cells[0].label

    folder = named(20, as_the_bundle_answers, stain=STAIN)
    with pytest.raises(LeukolensError, match=r"would be worse.*100\.0 % before"):
        adapt(reader, folder, out)
    assert not out.exists()


def test_of_too_few_blind_cells_before_and_after_are_told_and_decide_nothing(reader, named, out):
    found = adapt(reader, named(4, stain=STAIN), out)
    assert found.blind.reason == "12 cells, and 20 are needed"
    assert found.decides is found.comparison
    assert found.verdict == found.comparison.verdict == "better"
    assert load(out).card.adapted.blind == 0
    assert document(found, out)["blind"]["decides"] is False


def test_where_none_was_named_blind_nothing_is_told_of_them(reader, make_lab, named, out):
    assert adapt(reader, Folder(make_lab(EVEN, stain=STAIN, name="plain")), out).blind is None
    unknown_to_the_bundle = named(8, lambda path: "immature_granulocyte", stain=STAIN)
    found = adapt(reader, unknown_to_the_bundle, out)
    assert found.blind is None
    assert document(found, out)["blind"] is None
