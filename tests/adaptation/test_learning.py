import numpy as np
import pytest

from leukolens.adaptation.learning import STRENGTHS, deal, learn, matched
from leukolens.adaptation.onnx_head import Head
from leukolens.adaptation.replay import Replay

WIDTH = 8
CENTRES = np.array([[4, 1, 1, 1, 1, 1, 1, 1], [1, 4, 1, 1, 1, 1, 1, 1], [1, 1, 4, 1, 1, 1, 1, 1]], np.float32)
STAIN = np.array([0, 3.5, 0, 0, 1, 0, 0, 0], np.float32)
OLD = Head(CENTRES * 1.0, -(CENTRES**2).sum(axis=1) / 2)  # the nearest centre


def cells(labels, rng, stain=0.0, spread=0.4):
    truth = np.array(labels)
    return (CENTRES[truth] + stain + rng.normal(0, spread, (len(truth), WIDTH))).astype(np.float32), truth


@pytest.fixture
def replay():
    return Replay(*cells([0, 1, 2] * 30, np.random.default_rng(9)))


def share(head, features, truth):
    return float((head.logits(features).argmax(axis=1) == truth).mean())


class TestLearning:
    def test_a_laboratory_of_another_stain_is_learned(self, replay):
        rng = np.random.default_rng(0)
        features, truth = cells([0, 1, 2] * 10, rng, STAIN)
        asked = cells([0, 1, 2] * 100, rng, STAIN)
        assert share(OLD, *asked) < 0.75
        for memory in (replay, None):
            learned = learn(OLD, features[:, None], truth, np.arange(30), memory, np.random.default_rng(0))
            assert share(learned.head, *asked) > 0.9
            assert learned.strength in STRENGTHS

    def test_with_a_replay_the_old_laboratories_are_not_forgotten(self, replay):
        rng = np.random.default_rng(1)
        features, truth = cells([0, 1] * 20, rng, STAIN)
        old_lab = cells([0, 1, 2] * 100, rng)
        learned = learn(OLD, features[:, None], truth, np.arange(40), replay, np.random.default_rng(0))
        assert share(OLD, *old_lab) > 0.99
        assert share(learned.head, *old_lab) > 0.97

    def test_without_one_a_class_without_a_cell_keeps_its_weights(self):
        rng = np.random.default_rng(2)
        features, truth = cells([0, 1] * 10, rng, STAIN)
        head = learn(OLD, features[:, None], truth, np.arange(20), None, np.random.default_rng(0)).head
        np.testing.assert_array_equal(head.weight[2], OLD.weight[2])
        assert head.bias[2] == OLD.bias[2]
        assert not np.array_equal(head.weight[0], OLD.weight[0])

    def test_a_class_without_a_cell_is_still_known_in_the_new_stain(self, replay):
        rng = np.random.default_rng(3)
        features, truth = cells([0, 1] * 20, rng, STAIN)
        absent = cells([2] * 100, rng, STAIN)
        head = learn(OLD, features[:, None], truth, np.arange(40), replay, np.random.default_rng(0)).head
        assert share(head, *absent) >= share(OLD, *absent)

    def test_cells_seen_from_more_sides_teach_more(self, replay):
        asked = cells([0, 1, 2] * 200, np.random.default_rng(4), STAIN, spread=1.2)
        found = {1: [], 6: []}
        for draw in range(8):
            rng = np.random.default_rng(100 + draw)
            truth = np.array([0, 1, 2] * 4)
            looks = np.stack([cells(truth, rng, STAIN, spread=1.2)[0] for _ in range(6)], axis=1)
            for sides, shares in found.items():
                learned = learn(OLD, looks[:, :sides], truth, np.arange(12), replay, np.random.default_rng(0))
                shares.append(share(learned.head, *asked))
        assert np.mean(found[6]) > np.mean(found[1]) + 0.03

    @pytest.mark.parametrize(
        ("losses", "chosen"), [([3, 2, 1, 0], 3), ([3, 1, 2, 0], 1), ([1, 2, 0, 0], 0), ([2, 1, 1, 0], 1)]
    )
    def test_priors_are_tried_from_the_tightest_until_one_does_no_better(
        self, replay, monkeypatch, losses, chosen
    ):
        said = iter(np.repeat(losses, 3).tolist())
        monkeypatch.setattr("leukolens.adaptation.learning._surprise", lambda head, cells, truth: next(said))
        features, truth = cells([0, 1, 2] * 4, np.random.default_rng(6))
        learned = learn(OLD, features[:, None], truth, np.arange(12), replay, np.random.default_rng(0))
        assert learned.strength == STRENGTHS[chosen]

    def test_threads_change_nothing(self, replay):
        features, truth = cells([0, 1, 2] * 10, np.random.default_rng(7), STAIN)
        one, three = (
            learn(OLD, features[:, None], truth, np.arange(30), replay, np.random.default_rng(0), threads)
            for threads in (1, 3)
        )
        assert one.strength == three.strength
        np.testing.assert_array_equal(one.head.weight, three.head.weight)

    def test_looks_at_a_cell_are_never_torn_apart(self, replay, monkeypatch):
        asked = []
        monkeypatch.setattr(
            "leukolens.adaptation.learning._surprise", lambda head, cells, truth: asked.append(cells) or 0.0
        )
        features, truth = cells([0, 1, 2] * 4, np.random.default_rng(6))
        looks = np.stack([features, features + 100], axis=1)
        learn(OLD, looks, truth, np.arange(12), replay, np.random.default_rng(0))
        assert len(asked) == 3 * 2  # the second prior does no better: no third
        for fold in asked:
            first = fold.features[fold.features[:, 0] < 50]
            np.testing.assert_array_equal(
                np.sort(first + 100, axis=0), np.sort(fold.features[fold.features[:, 0] > 50], axis=0)
            )

    def test_one_group_alone_can_be_learned_from(self, replay):
        features, truth = cells([0, 1, 2], np.random.default_rng(5))
        learned = learn(
            OLD, features[:, None], truth, np.zeros(3, np.int64), replay, np.random.default_rng(0)
        )
        assert learned.strength == STRENGTHS[0]
        assert np.isfinite(learned.head.weight).all()


class TestMatchedStatistics:
    def test_a_shift_and_a_stretch_are_undone(self, replay):
        rng = np.random.default_rng(6)
        features, truth = cells([0, 1, 2] * 100, rng)
        stained = (features * 1.4 + 1.4 * STAIN).astype(np.float32)
        assert share(OLD, stained, truth) < 0.9
        assert share(matched(OLD, stained, replay), stained, truth) > 0.98

    def test_few_cells_move_little(self, replay):
        features, _ = cells([0], np.random.default_rng(7), STAIN)
        one = matched(OLD, features, replay)
        many = matched(OLD, np.repeat(features, 500, axis=0), replay)
        mean = np.zeros((1, WIDTH), np.float32)
        assert (
            np.abs(one.logits(mean) - OLD.logits(mean)).max()
            < np.abs(many.logits(mean) - OLD.logits(mean)).max() / 3
        )


class TestDealing:
    def test_groups_stay_whole_and_classes_are_spread(self):
        rng = np.random.default_rng(0)
        truth = np.repeat([0, 1, 2], [40, 10, 5])
        groups = np.arange(55) // 2
        truth = truth[2 * groups.clip(0, 27)]
        fold = deal(truth, groups, 5, rng)
        for group in np.unique(groups):
            assert len(set(fold[groups == group])) == 1
        for label in (0, 1):
            assert set(fold[truth == label]) == set(range(5))
        sizes = np.bincount(fold, minlength=5)
        assert sizes.max() - sizes.min() <= 4

    def test_fewer_groups_than_folds_give_fewer_folds(self):
        fold = deal(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 5, np.random.default_rng(0))
        assert len(set(fold)) == 2
