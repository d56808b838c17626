import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leukolens.differential.counts import Tally
from leukolens.differential.percentages import FEW_GROUPS, FEWEST_GROUPS, differential, without_nucleated
from leukolens.errors import LeukolensError

PERFECT = [[1000, 0, 0, 0, 0], [0, 1000, 0, 0, 0], [0, 0, 1000, 0, 0], [0, 0, 0, 1000, 0]]


def row(found, key):
    return next(entry for entry in found.classes if entry.key == key)


def test_each_class_has_its_count_percentage_and_exact_limits(tally):
    found = differential(tally())
    assert [entry.key for entry in found.classes] == ["neutrophil", "eosinophil", "lymphocyte", "monocyte"]
    assert [entry.count for entry in found.classes] == [120, 6, 60, 14]
    assert [entry.share.percent for entry in found.classes] == [60, 3, 30, 7]
    exact = stats.binomtest(14, 200).proportion_ci(0.95, "exact")
    share = row(found, "monocyte").share
    assert (share.low, share.high) == pytest.approx((100 * exact.low, 100 * exact.high))
    assert found.denominator == 200
    assert row(found, "monocyte").corrected is None
    assert row(found, "monocyte").concentration is None
    assert (found.white_count, found.nucleated_red_cells, found.confusion_from) == (None, None, "")


def test_unsure_cells_widen_every_class_and_have_their_own_row(tally):
    found, sure = differential(tally(unsure=10)), differential(tally())
    low = stats.binomtest(14, 210).proportion_ci(0.95, "exact").low
    high = stats.binomtest(24, 210).proportion_ci(0.95, "exact").high
    share = row(found, "monocyte").share
    assert (share.percent, share.low, share.high) == pytest.approx((7, 100 * low, 100 * high))
    for wide, narrow in zip(found.classes, sure.classes, strict=True):
        assert wide.share.low < narrow.share.low
        assert wide.share.high > narrow.share.high
    assert found.unsure.percent == pytest.approx(100 * 10 / 210)
    assert found.unsure.low < found.unsure.percent < found.unsure.high
    assert (sure.unsure.percent, sure.unsure.low) == (0, 0)


def test_cells_at_the_edge_and_others_change_no_percentage(tally):
    found = differential(tally(at_edge=7, not_leukocyte=9))
    assert found.classes == differential(tally()).classes
    assert (found.tally.at_edge, found.tally.not_leukocyte) == (7, 9)


def test_concentrations_are_percentages_of_the_white_count(tally):
    entry = row(differential(tally(), white_count=8.0), "monocyte")
    assert entry.concentration.value == pytest.approx(0.56)
    assert entry.concentration.low == pytest.approx(8 * entry.share.low / 100)
    assert entry.concentration.high == pytest.approx(8 * entry.share.high / 100)


def test_nucleated_red_cells_are_per_100_leukocytes_and_leave_the_white_count(tally):
    found = differential(tally(nucleated_red_cells=16), white_count=17.4)
    assert found.nucleated_red_cells == 8
    # The worked example that laboratory manuals give: 17.4 with 8 per 100 is 16.1.
    assert found.white_count.corrected == pytest.approx(16.11, abs=0.005)
    assert found.white_count.given == 17.4
    assert row(found, "neutrophil").concentration.value == pytest.approx(0.6 * 16.11, abs=0.005)


def test_unsure_cells_are_leukocytes_when_nucleated_red_cells_are_counted(tally):
    assert differential(tally(unsure=50, nucleated_red_cells=25)).nucleated_red_cells == 10


@given(st.floats(0.1, 500), st.floats(0, 1000))
def test_taking_nucleated_red_cells_off_gives_back_what_was_added(leukocytes, per_100):
    counted_along = leukocytes * (1 + per_100 / 100)
    assert without_nucleated(counted_along, per_100) == pytest.approx(leukocytes)
    assert without_nucleated(leukocytes, None) == leukocytes


def test_a_known_confusion_gives_corrected_percentages_beside_the_counted(tally, sharp):
    rows = [[950, 0, 0, 0, 50], [0, 1000, 0, 0, 0], [0, 0, 900, 100, 0], [0, 0, 0, 1000, 0]]
    confusion = sharp(rows, labs=("Barcelona",), measured_on="held-out photographs")
    found = differential(tally(unsure=6), confusion=confusion)
    monocytes, lymphocytes = row(found, "monocyte"), row(found, "lymphocyte")
    assert monocytes.share.percent == 7
    # A tenth of 66.7 lymphocytes was called monocyte; the six unsure were neutrophils.
    assert monocytes.corrected.percent == pytest.approx(100 * 7.3 / 206, abs=0.3)
    assert lymphocytes.corrected.percent == pytest.approx(100 * 66.7 / 206, abs=0.3)
    assert monocytes.corrected.low < 100 * 7.3 / 206 < monocytes.corrected.high
    assert found.confusion_from == "Barcelona: held-out photographs"


def test_what_is_no_leukocyte_is_an_answer_where_the_confusion_knows_it(sharp):
    classes = ("neutrophil", "lymphocyte", "other")
    confusion = sharp([[1000, 0, 0, 0], [0, 500, 500, 0], [0, 0, 1000, 0]], classes)
    counts = Tally({"neutrophil": 100, "lymphocyte": 50}, not_leukocyte=10)
    fewer = differential(counts, confusion=confusion)
    more = differential(dataclasses.replace(counts, not_leukocyte=60), confusion=confusion)
    assert row(more, "lymphocyte").corrected.high > row(fewer, "lymphocyte").corrected.high + 2
    assert row(more, "lymphocyte").share == row(fewer, "lymphocyte").share


def test_a_confusion_without_such_a_class_leaves_them_out(tally, sharp):
    few, many = (differential(tally(not_leukocyte=n), confusion=sharp(PERFECT)) for n in (0, 80))
    assert few.classes == many.classes


def test_a_confusion_of_other_classes_is_refused(sharp):
    with pytest.raises(LeukolensError, match=r"neutrophil, eosinophil.*names neutrophil, basophil"):
        differential(Tally({"neutrophil": 5, "basophil": 1}), confusion=sharp(PERFECT))


@pytest.mark.parametrize("white_count", [0, -3.0, float("nan"), float("inf")])
def test_a_white_count_that_is_none_is_refused(tally, white_count):
    with pytest.raises(LeukolensError, match="Give a number above 0"):
        differential(tally(), white_count=white_count)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (0, "No leukocyte was named"),
        (1, "Only 1 leukocyte was named: under 100"),
        (99, "Only 99 leukocytes were named: under 100"),
        (100, "100 leukocytes were named: under 200"),
        (199, "199 leukocytes were named: under 200"),
        (200, None),
    ],
)
def test_small_counts_are_warned_of(named, said):
    warnings = differential(Tally({"neutrophil": named, "monocyte": 0})).warnings
    assert len(warnings) == (said is not None)
    assert all(warning.startswith(said) and warning.endswith(".") for warning in warnings)


def test_many_unsure_cells_are_warned_of(tally):
    assert differential(tally(unsure=22)).warnings == ()
    (warning,) = differential(tally(unsure=23)).warnings
    assert warning.startswith("23 of 223 leukocytes have no sure name (10 %)")


def test_a_sample_without_cells_still_has_a_differential(tally, sharp):
    empty = dict.fromkeys(("neutrophil", "eosinophil", "lymphocyte", "monocyte"), 0)
    found = differential(Tally(empty, nucleated_red_cells=3), confusion=sharp(PERFECT), white_count=5.0)
    for entry in found.classes:
        assert (entry.share.percent, entry.share.low, entry.share.high) == (0, 0, 100)
        assert (entry.corrected.low, entry.corrected.high) == (0, 100)
        assert entry.concentration is None
        assert entry.to_halve > 0
    assert found.unsure is None
    assert found.nucleated_red_cells is None
    assert found.white_count.corrected == 5
    assert len(found.warnings) == 2


def test_only_unsure_cells_are_a_row_without_a_differential(tally):
    found = differential(Tally({"neutrophil": 0}, unsure=4))
    assert found.unsure.percent == 100
    assert (found.classes[0].share.low, found.classes[0].share.high) == (0, 100)


def test_a_correction_from_few_groups_says_so(tally, sharp):
    groups = (FEW_GROUPS, FEW_GROUPS - 1, FEWEST_GROUPS, FEWEST_GROUPS - 1)
    rows = [[count * (row == column) for column in range(5)] for row, count in enumerate(groups)]
    none, few = differential(tally(), confusion=sharp(rows)).warnings
    assert f"monocyte ({FEWEST_GROUPS - 1});" in none
    assert "nothing is claimed" in none
    assert f"eosinophil ({FEW_GROUPS - 1}), lymphocyte ({FEWEST_GROUPS});" in few
    assert "too narrow" in few
    assert all("neutrophil" not in warning for warning in (none, few))


@given(st.lists(st.integers(0, 400), min_size=4, max_size=4).filter(any), st.integers(0, 50))
def test_percentages_add_up_and_lie_within_their_limits(counts, unsure):
    keys = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")
    found = differential(Tally(dict(zip(keys, counts, strict=True)), unsure=unsure))
    assert sum(entry.share.percent for entry in found.classes) == pytest.approx(100)
    for entry in found.classes:
        assert 0 <= entry.share.low <= entry.share.percent <= entry.share.high <= 100 + 1e-9
