import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolens.differential.ranges import Range, load_ranges
from leukolens.errors import LeukolensError

BAND = """
[[band]]
name = "{name}"
from_years = {start}
{end}
total = {{ low = 4.0, high = 10.0 }}
absolute.neutrophil = {{ low = {low}, high = 7.0 }}
relative.neutrophil = {{ low = 40, high = 80 }}
"""


def band(name="adult", start=0, end="", low=2.0):
    return BAND.format(name=name, start=start, end=end, low=low)


@pytest.fixture
def loaded(tmp_path):
    def load(text):
        path = tmp_path / "ours.toml"
        path.write_text(text, encoding="utf-8")
        return load_ranges(path)

    return load


def test_adults_have_4_to_10():
    adult = load_ranges().for_person(40, "female")
    assert (adult.name, adult.total) == ("adult", Range(low=4, high=10))
    assert adult == load_ranges().for_person(None, None)


@pytest.mark.parametrize(
    ("age", "name"),
    [
        (0, "first week"), (0.0199, "first week"), (0.02, "1 week to 6 months"), (0.5, "6 months to 2 years"),
        (5.9, "2 to 6 years"), (6, "6 to 10 years"), (17.99, "10 to 18 years"), (18, "adult"), (110, "adult"),
    ],
)  # fmt: skip
def test_a_band_holds_from_its_first_age_until_the_next(age, name):
    assert load_ranges().for_person(age, None).name == name


@given(st.floats(0, 130), st.sampled_from([None, "female", "male"]))
def test_everybody_has_ranges_for_every_class(age, sex):
    ranges = load_ranges().for_person(age, sex)
    assert {"neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte"} == set(ranges.absolute)
    assert set(ranges.absolute) < set(ranges.relative)
    for span in ranges.relative.values():
        assert (span.high or 0) <= 100


def test_small_children_have_more_lymphocytes_than_adults():
    # Dallman's table: means of 6.3 and 59 % at two years; an adult's upper ends are 3.0 and 40 %.
    child, adult = (load_ranges().for_person(age, None) for age in (2, 30))
    assert child.absolute["lymphocyte"].high > 6.3 > adult.absolute["lymphocyte"].high
    assert child.relative["lymphocyte"].high > 59 > adult.relative["lymphocyte"].high


@pytest.mark.parametrize(
    ("age", "total", "neutrophils", "lymphocytes"),
    [  # Dallman's means at ages within the bands
        (0.01, 12.2, 5.5, 5.0), (0.08, 10.8, 3.8, 6.0), (1, 11.4, 3.5, 7.0), (4, 9.1, 3.8, 4.5), (8, 8.3, 4.4, 3.3),
        (16, 7.8, 4.4, 2.8),
    ],
)  # fmt: skip
def test_what_is_usual_at_an_age_lies_inside(age, total, neutrophils, lymphocytes):
    ranges = load_ranges().for_person(age, None)
    for value, span in (
        (total, ranges.total),
        (neutrophils, ranges.absolute["neutrophil"]),
        (lymphocytes, ranges.absolute["lymphocyte"]),
        (100 * neutrophils / total, ranges.relative["neutrophil"]),
        (100 * lymphocytes / total, ranges.relative["lymphocyte"]),
    ):
        assert span.low < value < span.high


def test_a_laboratory_may_have_its_own(loaded):
    table = loaded(band("child", end="below_years = 12", low=1.1) + band("grown", 12))
    assert table.for_person(3, None).absolute["neutrophil"].low == 1.1
    assert table.for_person(12, "male").name == "grown"


def test_women_and_men_may_have_their_own_and_the_wider_holds_for_whom_nobody_knows(loaded):
    table = loaded(
        band("women", end='sex = "female"', low=2.2)
        + "absolute.monocyte = { high = 0.8 }"
        + band("men", end='sex = "male"', low=1.8)
    )
    assert table.for_person(30, "female").absolute["neutrophil"].low == 2.2
    assert table.for_person(30, "male").absolute["neutrophil"].low == 1.8
    unknown = table.for_person(30, None)
    assert unknown.absolute["neutrophil"] == Range(low=1.8, high=7)
    assert "monocyte" not in unknown.absolute
    assert unknown.name == "women or men"


@pytest.mark.parametrize("age", [-1, math.nan, math.inf])
def test_an_age_that_is_none_is_refused(age):
    with pytest.raises(LeukolensError, match="Give it in years"):
        load_ranges().for_person(age, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (band(low=9.0), "band 1 (adult): absolute.neutrophil: low 9 is not below high 7"),
        (band(low='"two"'), "band 1 (adult): absolute.neutrophil.low: Input should be a valid number"),
        (band(low=-1), "band 1 (adult): absolute.neutrophil.low: Input should be greater than"),
        (band(low="nan"), "absolute.neutrophil.low: Input should be a finite number"),
        (band() + "absolute.blast = { high = 0 }", "band 1 (adult): absolute: blast: no leukocyte class"),
        (band() + "relative.monocyte = { high = 110 }", "band 1 (adult): relative: monocyte: a percentage"),
        (
            band() + "absolute.monocyte = { hihg = 1 }",
            "absolute.monocyte.hihg: Extra inputs are not permitted",
        ),
        (band() + "absolute.monocyte = { }", "absolute.monocyte: a range wants low, high or both"),
        (band() + 'sex = "woman"', "band 1 (adult): sex: Input should be 'female' or 'male'"),
        (band() + band(start=12), "two bands hold between band 'adult' and band 'adult', at 12 years"),
        (band(end="below_years = 12"), "no band holds from 12 years on (female)"),
        (band(start=1), "no band holds between the beginning and band 'adult', at 0 years"),
        (
            band(end="below_years = 9") + band("grown", 12),
            "no band holds between band 'adult' and band 'grown', at 9",
        ),
        (band(start=5, end="below_years = 4"), "band 'adult': below_years is not above from_years"),
        (band(end='sex = "male"'), "no band holds from 0 years on (female)"),
        ("", "band: Field required"),
        ("band = []", "band: "),
        ("band = [3]", "band 1: Input should be"),
        ("band = {", "is not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_field(loaded, text, said):
    with pytest.raises(LeukolensError, match=re.escape(said)) as error:
        loaded(text)
    assert "ours.toml" in error.value.problem
    assert error.value.remedy


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LeukolensError, match=r"none\.toml cannot be read \(No such file"):
        load_ranges(tmp_path / "none.toml")
