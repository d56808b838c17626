from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.datasets.matching import (
    SAME_FIELD,
    FieldIndex,
    agreement,
    alike,
    clusters,
    fingerprint,
    keypoints,
    same_field,
)


def drawn_field(seed: int, size: tuple[int, int] = (240, 320)) -> NDArray[np.uint8]:
    """Discs of many sizes and colours on a light ground, unlike for every seed."""
    rng = np.random.default_rng(seed)
    picture = np.full((*size, 3), 235, np.uint8)
    for _ in range(90):
        centre = (int(rng.integers(0, size[1])), int(rng.integers(0, size[0])))
        colour = tuple(int(value) for value in rng.integers(60, 220, 3))
        cv2.circle(picture, centre, int(rng.integers(3, 22)), colour, -1, cv2.LINE_AA)
    return picture


def distorted(rgb: NDArray[np.uint8], degrees: float, shift: tuple[float, float]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.05)
    matrix[0, 1] += 0.08
    matrix[:, 2] += shift
    return cv2.warpAffine(rgb, matrix, (width, height))


def test_a_distorted_copy_shows_the_field_and_another_drawing_does_not():
    field = drawn_field(1)
    assert same_field(distorted(field, 17, (25, -18)), field) >= SAME_FIELD
    assert same_field(drawn_field(2), field) < SAME_FIELD


@pytest.mark.parametrize("flip", [0, 1, -1])
def test_a_flipped_copy_shows_the_field(flip):
    field = drawn_field(3)
    assert same_field(cv2.flip(distorted(field, -12, (9, 14)), flip), field) >= SAME_FIELD


def test_keypoints_are_unit_vectors_strongest_first():
    found = keypoints(drawn_field(4))
    assert found.points.dtype == found.descriptors.dtype == np.float32
    assert found.descriptors.shape == (len(found.points), 128)
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-5)


def test_mirrored_keypoints_are_those_of_the_mirror_image():
    field = drawn_field(5)
    mirror = keypoints(np.ascontiguousarray(field[:, ::-1]))
    turned = keypoints(field).mirrored()
    agreeing = agreement(turned, mirror)
    assert agreeing > 0.7 * len(mirror.points)
    assert agreeing > 4 * agreement(keypoints(field), mirror)


def test_a_map_that_shrinks_too_much_is_no_match():
    field = drawn_field(6, (480, 640))
    half = cv2.resize(field, (160, 120), interpolation=cv2.INTER_AREA)
    assert agreement(keypoints(half), keypoints(field)) == 0


@pytest.mark.parametrize("shape", [(240, 320), (1, 1), (3, 200)])
def test_an_empty_image_agrees_with_nothing(shape):
    empty = np.full((*shape, 3), 240, np.uint8)
    assert len(keypoints(empty).points) == 0
    assert same_field(empty, drawn_field(1)) == 0
    assert FieldIndex([keypoints(drawn_field(1))]).search(keypoints(empty)) == []


def test_the_index_finds_each_copys_field_among_many():
    fields = [drawn_field(seed) for seed in range(20, 40)]
    index = FieldIndex([keypoints(field) for field in fields])
    for number in (0, 7, 19):
        copy = cv2.flip(distorted(fields[number], 15, (-20, 10)), 1)
        found = index.search(keypoints(copy))
        assert found[0][0] == number
        assert found[0][1] >= SAME_FIELD
        assert all(score < SAME_FIELD for _, score in found[1:])


def test_the_index_can_leave_the_query_itself_out():
    fields = [keypoints(drawn_field(seed)) for seed in range(5)]
    assert FieldIndex(fields).search(fields[2])[0] == (2, len(fields[2].points))
    assert all(number != 2 for number, _ in FieldIndex(fields).search(fields[2], besides=2))


def test_an_index_of_nothing_finds_nothing():
    assert FieldIndex([]).search(keypoints(drawn_field(1))) == []


def test_alike_agrees_with_a_correlation_matrix():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (60, 30, 30, 3), dtype=np.uint8)
    pictures[31] = np.clip(pictures[4].astype(int) + rng.integers(-3, 4, pictures[4].shape), 0, 255)
    prints = np.stack([fingerprint(picture) for picture in pictures])
    flat = np.stack([cv2.resize(p, (16, 16), interpolation=cv2.INTER_AREA).ravel() for p in pictures])
    oracle = np.corrcoef(flat.astype(float))
    found = {(a, b): similarity for a, b, similarity in alike(prints, 0.1)}
    expected = {(a, b) for a in range(60) for b in range(a + 1, 60) if oracle[a, b] >= 0.1}
    assert set(found) == expected
    for (a, b), similarity in found.items():
        assert similarity == pytest.approx(oracle[a, b], abs=1e-5)
    assert [(a, b) for a, b, _ in alike(prints, 0.9)] == [(4, 31)]


def test_a_plain_image_has_a_fingerprint_that_is_like_nothing():
    plain = fingerprint(np.full((9, 9, 3), 7, np.uint8))
    assert not plain.any()
    assert alike(np.stack([plain, plain]), 0.5) == []


def test_clusters_are_the_connected_components():
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rng = np.random.default_rng(3)
    pairs = [tuple(map(int, pair)) for pair in rng.integers(0, 200, (110, 2))]
    ours = clusters(200, pairs)
    rows, columns = zip(*pairs, strict=True)
    _, oracle = connected_components(coo_matrix((np.ones(110), (rows, columns)), (200, 200)), directed=False)
    for label in set(oracle):
        members = np.flatnonzero(oracle == label)
        assert {ours[member] for member in members} == {members.min()}
