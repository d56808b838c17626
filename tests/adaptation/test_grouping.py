from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from leukolens.adaptation.grouping import grouped
from leukolens.datasets.base import Sample


def _save(root: Path, name: str, rgb: np.ndarray, group: str | None = None) -> Sample:
    path = root / f"{name}.png"
    Image.fromarray(rgb).save(path)
    return Sample(path, "neutrophil", "lab", "all", group or f"lab/{name}")


def _speckled(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 24, 3), np.uint8)
    return cv2.GaussianBlur(cv2.resize(coarse, (192, 192), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)


def _turned(rgb: np.ndarray, degrees: float) -> np.ndarray:
    turn = cv2.getRotationMatrix2D((96, 96), degrees, 1.1)
    return cv2.warpAffine(rgb, turn, (192, 192), borderMode=cv2.BORDER_REFLECT)


def test_copies_turned_and_mirrored_ones_join_and_others_stay_apart(tmp_path):
    first, second, third = (_speckled(seed) for seed in range(3))
    samples = [
        _save(tmp_path, "a", first),
        _save(tmp_path, "b", second),
        _save(tmp_path, "c", third),
        _save(tmp_path, "a-again", first),
        _save(tmp_path, "b-mirrored", second[:, ::-1]),
        _save(tmp_path, "c-turned", _turned(third, 37)),
    ]
    features = np.array([[0, 0], [5, 0], [0, 5], [0, 0.1], [5, 0.1], [0, 5.1]], np.float32)
    groups = grouped(samples, features)
    assert groups == ("lab/a", "lab/b", "lab/c", "lab/a", "lab/b", "lab/c")


def test_the_groups_that_a_laboratory_gives_are_kept(tmp_path):
    samples = [_save(tmp_path, str(seed), _speckled(seed), f"lab/slide-{seed // 2}") for seed in range(4)]
    assert grouped(samples, np.eye(4, dtype=np.float32)) == (
        "lab/slide-0", "lab/slide-0", "lab/slide-1", "lab/slide-1",
    )  # fmt: skip


def test_groups_of_which_two_images_are_copies_become_one(tmp_path):
    copy = _speckled(0)
    samples = [
        _save(tmp_path, "a", copy, "lab/1"),
        _save(tmp_path, "b", _speckled(1), "lab/1"),
        _save(tmp_path, "c", copy, "lab/2"),
        _save(tmp_path, "d", _speckled(2), "lab/2"),
    ]
    assert set(grouped(samples, np.eye(4, dtype=np.float32))) == {"lab/1"}


def test_one_image_is_one_group(tmp_path):
    assert grouped([_save(tmp_path, "a", _speckled(0))], np.zeros((1, 2), np.float32)) == ("lab/a",)
