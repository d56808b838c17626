"""The distance is Mahalanobis' to the nearest kind of learned cell, and what says so survives being packed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import EmpiricalCovariance

from leukolens.errors import BundleError
from leukolens.reading.familiarity import Familiarity, from_bytes, learned

LABELS = ["neutrophil"] * 60 + ["monocyte"] * 40
LABS = ["here"] * 100
EVIDENCE = {
    "weight": np.zeros((2, 5), np.float32),
    "bias": np.zeros(2, np.float32),
    "level": np.ones(2, np.float32),
}


def cells(seed: int = 0, width: int = 5) -> NDArray[np.float32]:
    """Features of two classes of one laboratory, each a slanted cloud."""
    rng = np.random.default_rng(seed)
    slant = rng.normal(size=(width, width))
    clouds = rng.normal(size=(100, width)) @ slant
    clouds[60:] += 12
    return clouds.astype(np.float32)


@pytest.fixture(scope="module")
def familiar() -> Familiarity:
    return learned(cells(), LABELS, LABS, shrinkage=0.0)


def test_with_all_axes_it_is_scipys_and_sklearns_distance_to_the_nearest_class(familiar: Familiarity) -> None:
    given, asked = cells().astype(np.float64), cells(1).astype(np.float64)
    clouds = [EmpiricalCovariance().fit(given[:60]), EmpiricalCovariance().fit(given[60:])]
    expected = np.sqrt(np.min([cloud.mahalanobis(asked) for cloud in clouds], axis=0))
    assert np.allclose(familiar.distance(asked), expected, rtol=1e-3)
    inverse = np.linalg.inv(np.cov(given[:60].T, bias=True))
    first = mahalanobis(asked[0], given[:60].mean(axis=0), inverse)
    assert familiar.kinds == ("here/monocyte", "here/neutrophil")
    assert familiar.distances(asked[:1])[0, 1] == pytest.approx(first, rel=1e-3)


def test_wholly_shrunk_it_is_the_distance_by_the_common_covariance() -> None:
    given, asked = cells().astype(np.float64), cells(1).astype(np.float64)
    middles = np.repeat([given[:60].mean(axis=0), given[60:].mean(axis=0)], [60, 40], axis=0)
    weight = np.repeat([60**-0.5, 40**-0.5], [60, 40])
    common = np.cov((given - middles).T, bias=True, aweights=weight)
    expected = [
        min(mahalanobis(row, middle, np.linalg.inv(common)) for middle in middles[[0, 60]]) for row in asked
    ]
    # np.cov takes the weighted mean off, which differs from none by little.
    assert np.allclose(learned(cells(), LABELS, LABS, shrinkage=1.0).distance(asked), expected, rtol=2e-2)


def test_few_axes_leave_out_what_varies_least() -> None:
    rng = np.random.default_rng(2)
    wide = rng.normal(size=(100, 6)) * [9, 8, 7, 1e-3, 1e-3, 1e-3]
    few = learned(wide, LABELS, LABS, dimensions=3)
    assert few.axes.shape == (6, 3)
    away = np.zeros((1, 6))
    away[0, 5] = 100.0
    assert few.distance(away)[0] == pytest.approx(few.distance(np.zeros((1, 6)))[0], abs=0.1)


def test_a_learned_cell_is_nearer_than_one_of_another_kind(familiar: Familiarity) -> None:
    known, strange = familiar.distance(cells()), familiar.distance(cells() + 40)
    assert np.quantile(known, 0.99) < strange.min()
    assert np.mean(known**2) == pytest.approx(5, rel=0.15)  # chi-squared with as many degrees as axes


def test_neighbours_change_no_bit(familiar: Familiarity) -> None:
    together = familiar.distance(cells(3))
    alone = np.concatenate([familiar.distance(row[None]) for row in cells(3)])
    assert np.array_equal(together, alone)


def test_no_cells_have_no_distance(familiar: Familiarity) -> None:
    assert familiar.distance(np.zeros((0, 5), np.float32)).shape == (0,)


def test_it_survives_being_packed_to_the_bit(familiar: Familiarity) -> None:
    again = from_bytes(familiar.to_bytes())
    assert np.array_equal(again.distances(cells(1)), familiar.distances(cells(1)))
    assert again.kinds == familiar.kinds
    assert familiar.to_bytes() == again.to_bytes() == learned(cells(), LABELS, LABS, shrinkage=0.0).to_bytes()


def test_a_laboratory_of_ones_own_becomes_familiar_and_nothing_else_changes() -> None:
    before = learned(cells(), LABELS, LABS)
    local = cells(4)[:60] - 30
    after = before.extended(local, ["neutrophil"] * 55 + ["monocyte"] * 5, "mine")
    assert after.kinds == (*before.kinds, "mine/neutrophil")  # five cells of a class are too few
    assert np.array_equal(after.distances(cells(1))[:, :2], before.distances(cells(1)))
    assert after.distance(local[:55]).max() < before.distance(local[:55]).min()
    again = after.extended(local, ["neutrophil"] * 60, "mine")
    assert again.kinds == after.kinds


def test_kinds_of_too_few_cells_are_left_out() -> None:
    kinds = learned(cells(), ["neutrophil"] * 95 + ["monocyte"] * 5, LABS).kinds
    assert kinds == ("here/neutrophil",)
    with pytest.raises(ValueError, match="8 cells"):
        learned(cells()[:7], LABELS[:7], LABS[:7])


def test_other_features_than_it_knows_are_refused(familiar: Familiarity) -> None:
    with pytest.raises(BundleError, match="5 features"):
        familiar.distance(np.zeros((3, 512), np.float32))


def repacked(**changes: NDArray[np.generic]) -> bytes:
    packed = learned(cells(), LABELS, LABS).to_bytes()
    with np.load(io.BytesIO(packed)) as parts:
        given = {name: parts[name] for name in parts.files} | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: part for name, part in given.items() if part is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        learned(cells(), LABELS, LABS).to_bytes()[:400],
        repacked(mean=np.full(5, np.nan, np.float32)),
        repacked(mean=np.zeros(4, np.float32)),
        repacked(axes=np.zeros((5, 5), np.float64)),
        repacked(roots=np.zeros((2, 14), np.float32)),
        repacked(centres=np.array([[object()] * 5] * 2)),
        repacked(kinds=np.array([], np.str_)),
        repacked(bias=np.zeros(2, np.float32)),
        repacked(**EVIDENCE | {"weight": np.zeros((2, 4), np.float32)}),
        repacked(**EVIDENCE | {"bias": np.zeros((2, 1), np.float32)}),
        repacked(**EVIDENCE | {"level": np.full(2, np.inf, np.float32)}),
    ],
)
def test_a_damaged_one_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"familiarity\.npz") as caught:
        from_bytes(content)
    assert "\n" not in str(caught.value)


def test_what_the_damaged_ones_were_made_from_is_whole() -> None:
    assert from_bytes(repacked(**EVIDENCE)).evidence is not None


def test_one_that_would_swell_is_refused(monkeypatch: pytest.MonkeyPatch, familiar: Familiarity) -> None:
    monkeypatch.setattr("leukolens.reading.familiarity.LARGEST_BYTES", 100)
    with pytest.raises(BundleError, match="too large"):
        from_bytes(familiar.to_bytes())
