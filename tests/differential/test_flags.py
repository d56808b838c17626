import pytest

from leukolens.differential.counts import Tally
from leukolens.differential.flags import NAMES, flags
from leukolens.differential.percentages import differential
from leukolens.differential.ranges import Range, Ranges, load_ranges
from leukolens.taxonomy import CLASSES

KEYS = ("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte", "immature_granulocyte")
ADULT = load_ranges().for_person(None, None)


def found(*counts, white_count=None, ranges=ADULT, **outside):
    sample = differential(Tally(dict(zip(KEYS, counts, strict=True)), **outside), white_count=white_count)
    return {flag.key: flag for flag in flags(sample, ranges)}


def test_a_usual_differential_has_no_flag():
    assert found(122, 6, 1, 60, 11, 0, white_count=7.0) == {}
    assert found(122, 6, 1, 60, 11, 0) == {}


@pytest.mark.parametrize(
    ("white_count", "counts", "key", "value", "low", "high"),
    [
        (3.9, (120, 6, 1, 62, 11, 0), "leukopenia", 3.9, 4, 10),
        (10.1, (122, 6, 1, 60, 11, 0), "leukocytosis", 10.1, 4, 10),
        (5.0, (76, 8, 2, 100, 14, 0), "neutropenia", 1.9, 2, 7),
        (9.0, (160, 3, 0, 33, 4, 0), "neutrophilia", 7.2, 2, 7),
        (5.0, (150, 5, 1, 38, 6, 0), "lymphopenia", 0.95, 1, 3),
        (8.0, (108, 4, 1, 80, 7, 0), "lymphocytosis", 3.2, 1, 3),
        (9.0, (120, 5, 1, 50, 24, 0), "monocytosis", 1.08, 0.2, 1),
        (8.0, (118, 14, 1, 57, 10, 0), "eosinophilia", 0.56, 0.02, 0.5),
        (9.0, (122, 6, 3, 59, 10, 0), "basophilia", 0.135, 0.02, 0.1),
    ],
)
def test_with_a_white_count_flags_are_absolute(white_count, counts, key, value, low, high):
    flag = found(*counts, white_count=white_count)[key]
    assert (flag.basis, flag.unit) == ("absolute", "10^9/L")
    assert flag.value == pytest.approx(value)
    assert (flag.low, flag.high) == (low, high)


@pytest.mark.parametrize(
    ("counts", "key", "value", "low", "high"),
    [
        ((78, 6, 1, 99, 16, 0), "relative_neutropenia", 39, 40, 80),
        ((162, 1, 0, 34, 3, 0), "relative_neutrophilia", 81, 40, 80),
        ((150, 5, 1, 38, 6, 0), "relative_lymphopenia", 19, 20, 40),
        ((105, 4, 1, 82, 8, 0), "relative_lymphocytosis", 41, 20, 40),
        ((120, 5, 1, 50, 24, 0), "relative_monocytosis", 12, 2, 10),
        ((118, 14, 1, 57, 10, 0), "relative_eosinophilia", 7, 1, 6),
        ((118, 6, 5, 61, 10, 0), "relative_basophilia", 2.5, None, 2),
    ],
)
def test_without_one_flags_are_relative(counts, key, value, low, high):
    every = found(*counts)
    assert (every[key].basis, every[key].unit) == ("relative", "%")
    assert every[key].value == pytest.approx(value)
    assert (every[key].low, every[key].high) == (low, high)
    assert all(flag.basis == "relative" for flag in every.values())


def test_a_high_percentage_of_few_white_cells_is_no_absolute_flag():
    assert "relative_lymphocytosis" in found(80, 5, 1, 100, 14, 0)
    assert "lymphocytosis" not in found(80, 5, 1, 100, 14, 0, white_count=5.5)


def test_an_immature_granulocyte_is_present_whatever_the_basis():
    for white_count in (None, 7.0):
        flag = found(121, 6, 1, 60, 11, 1, white_count=white_count)["immature_granulocytes"]
        assert (flag.basis, flag.value, flag.high) == ("relative", 0.5, 0)
        assert flag.message.startswith("Immature granulocytes present, to review: 0.5 %")


def test_the_ends_of_a_range_belong_to_it():
    ranges = Ranges("x", Range(low=4, high=10), {}, {"monocyte": Range(low=2, high=10)})
    assert found(180, 0, 0, 0, 20, 0, white_count=10, ranges=ranges) == {}
    assert found(180, 0, 0, 0, 20, 0, white_count=4, ranges=ranges) == {}
    assert set(found(179, 0, 0, 0, 21, 0, ranges=ranges)) == {"relative_monocytosis"}


def test_the_white_count_is_compared_without_nucleated_red_cells():
    assert "leukocytosis" in found(122, 6, 1, 60, 11, 0, white_count=10.5)
    assert "leukocytosis" not in found(122, 6, 1, 60, 11, 0, white_count=10.5, nucleated_red_cells=20)


def test_a_sample_without_cells_is_flagged_for_its_white_count_alone():
    assert set(found(0, 0, 0, 0, 0, 0, white_count=2.0)) == {"leukopenia"}
    assert found(0, 0, 0, 0, 0, 0, unsure=3) == {}


def test_a_message_names_basis_value_unit_range_and_limits():
    message = found(120, 5, 1, 50, 24, 0, white_count=9.0)["monocytosis"].message
    assert message == (
        "Monocytosis to review: 1.08 × 10^9/L, above the range (adult) of 0.2 to 1 × 10^9/L "
        "(absolute; 95 % limits 0.71 to 1.56, which reach into it)."
    )
    message = found(60, 5, 1, 120, 14, 0)["relative_lymphocytosis"].message
    assert message == (
        "Relative lymphocytosis to review: 60.0 %, above the range (adult) of 20 to 40 % "
        "(relative; 95 % limits 52.9 to 66.8, all above it)."
    )


def test_ranges_with_one_end_read_well():
    ranges = Ranges(
        "mine",
        Range(low=4),
        {},
        {"basophil": Range(high=1), "neutrophil": Range(low=50), "monocyte": Range(low=2)},
    )
    every = found(90, 0, 10, 100, 0, 0, white_count=3, ranges=ranges)
    assert "below the range (mine) of 4 × 10^9/L and more (absolute)" in every["leukopenia"].message
    assert "below the range (mine) of 50 % and more" in every["relative_neutropenia"].message
    assert "above the range (mine) of up to 1 %" in every["relative_basophilia"].message
    assert len(every) == 3  # few monocytes have no flag


def test_no_message_is_a_diagnosis():
    high = found(170, 20, 10, 90, 40, 20, white_count=40)
    low = found(10, 0, 0, 5, 185, 0, white_count=1)
    for flag in [*high.values(), *low.values()]:
        assert "to review" in flag.message
        assert not {"leukaemia", "infection", "disease", "patient"} & set(flag.message.lower().split())
        assert flag.message.endswith(".")


def test_every_leukocyte_class_has_its_flags():
    assert set(NAMES) == {kind.key for kind in CLASSES if kind.leukocyte}


def reviewed(white_count=None, blasts=0, **counts):
    """A hundred cells beside those that are given."""
    usual = {"neutrophil": 60, "eosinophil": 3, "basophil": 0, "lymphocyte": 31, "monocyte": 6}
    every = {**usual, "immature_granulocyte": 0, **counts}
    sample = differential(Tally(every, blasts=blasts), white_count=white_count)
    return {flag.key: flag for flag in flags(sample, ADULT)}


@pytest.mark.parametrize("white_count", [None, 7.0, 30.0])
def test_any_blast_is_flagged_before_all_else(white_count):
    flag = next(iter(reviewed(white_count, blast=1, blasts=1).values()))
    assert (flag.key, flag.basis, flag.unit, flag.low, flag.high) == ("blasts", "relative", "%", None, 0.0)
    assert flag.value == pytest.approx(100 / 101)
    assert flag.message.startswith("Blasts present, to review: 1 cell that a person named so, 1.0 %")


def test_a_blast_that_is_not_counted_is_flagged_too():
    flag = reviewed(blasts=2)["blasts"]
    assert flag.value == 0
    assert "2 cells that a person named so, 0 of them counted" in flag.message
    alone = differential(Tally({"neutrophil": 0}, at_edge=1, blasts=1))
    assert [flag.key for flag in flags(alone, ADULT)] == ["blasts"]


def test_without_a_blast_there_is_no_such_flag():
    assert "blasts" not in reviewed(band=3)


@pytest.mark.parametrize(
    ("counts", "key", "value"),
    [
        ({"neutrophil": 70, "band": 30}, "relative_neutrophilia", 100 * 100 / 140),
        ({"lymphocyte": 40, "reactive_lymphocyte": 40}, "relative_lymphocytosis", 100 * 80 / 149),
        ({"myelocyte": 1}, "immature_granulocytes", 100 / 101),
        (
            {"immature_granulocyte": 1, "promyelocyte": 1, "metamyelocyte": 2},
            "immature_granulocytes",
            400 / 104,
        ),
    ],
)
def test_what_only_a_person_tells_apart_is_compared_with_its_class(counts, key, value):
    ranges = Ranges(
        "narrow", ADULT.total, ADULT.absolute, {**ADULT.relative, "neutrophil": Range(low=40, high=70)}
    )
    every = {"neutrophil": 60, "eosinophil": 3, "basophil": 0, "lymphocyte": 31, "monocyte": 6, **counts}
    sample = differential(Tally(every))
    flag = {flag.key: flag for flag in flags(sample, ranges)}[key]
    assert flag.value == pytest.approx(value)
    assert "counted along" in flag.message
    assert "which reach into it" in flag.message or "all above it" in flag.message


def test_bands_do_not_make_a_neutropenia_of_a_usual_count():
    assert reviewed(neutrophil=20, band=40) == {}
    assert "relative_neutropenia" in reviewed(neutrophil=20)


def test_forms_of_a_class_count_with_it_as_concentrations_too():
    flag = reviewed(12.0, neutrophil=40, band=40)["neutrophilia"]
    assert (flag.basis, flag.high) == ("absolute", 7)
    assert flag.value == pytest.approx(12 * 80 / 120)
    assert "band neutrophil counted along" in flag.message
