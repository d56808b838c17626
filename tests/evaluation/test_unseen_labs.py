from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

from leukolens.errors import DataError
from leukolens.evaluation.measures import class_measures, headline
from leukolens.evaluation.trust import calibration_measures, decision_measures
from leukolens.evaluation.unseen_answers import FIVE_CLASSES
from leukolens.evaluation.unseen_labs import difference, lab_figures, mean_over_labs, restricted
from leukolens.taxonomy import CLASS_KEYS

FOUR = ("neutrophil", "eosinophil", "lymphocyte", "monocyte")


def _answered(one):
    """True class and answer of the images that count, as text."""
    predictions = restricted(one)[1]
    names = [*predictions.classes, "no cell"]
    return [names[label] for label in predictions.truth], [names[label] for label in predictions.predicted]


def test_one_seeds_figures_are_those_of_any_evaluation(asked):
    one = asked("raabin")
    answers, predictions = restricted(one)
    figures, line = lab_figures([one]), headline(predictions)
    calibration = calibration_measures(predictions)
    accepted = decision_measures(answers.predictions, answers.decisions)[0]
    classes = zip(figures.recalls, class_measures(predictions), strict=True)
    assert figures.accuracy.mean == line.accuracy
    assert figures.balanced_accuracy.mean == line.balanced_accuracy
    for own, same in (
        (figures.expected_error.mean, calibration.expected_error),
        (figures.brier.mean, calibration.brier),
        (figures.accepted.mean, accepted.share),
        (figures.accepted_accuracy.mean, accepted.accuracy),
        *((mine.recall.mean, its.recall) for mine, its in classes),
    ):
        assert own.value == pytest.approx(same.value)
        assert (own.interval.low, own.interval.high) == pytest.approx((same.interval.low, same.interval.high))
    assert figures.lost == line.lost > 0


def test_right_and_wrong_are_counted_as_scikit_learn_counts_them(asked):
    one = asked("raabin")
    truth, said = _answered(one)
    figures = lab_figures([one])
    assert figures.accuracy.mean.value == pytest.approx(accuracy_score(truth, said))
    with pytest.warns(UserWarning, match="not in y_true"):
        assert figures.balanced_accuracy.mean.value == pytest.approx(balanced_accuracy_score(truth, said))
    recalls = recall_score(truth, said, labels=list(FIVE_CLASSES), average=None)
    assert [line.recall.mean.value for line in figures.recalls] == pytest.approx(recalls)


def test_a_model_that_knows_more_is_asked_of_the_sets_classes_alone(asked):
    one = asked("raabin", known=CLASS_KEYS)
    everything = one.answers.predictions
    assert lab_figures([one]).open == FIVE_CLASSES
    np.testing.assert_array_equal(
        restricted(one)[1].probabilities, everything.restricted(FIVE_CLASSES).probabilities
    )


def test_tecoms_basophils_are_shown_and_stay_among_the_answers(asked):
    one = asked("tecom", photographs=(20, 10, 1, 12, 11))
    figures = lab_figures([one])
    assert figures.scored == FOUR
    assert figures.open == FIVE_CLASSES
    truth, said = _answered(one)
    assert "basophil" in said
    assert "basophil" not in truth
    assert figures.balanced_accuracy.mean.value == pytest.approx(
        np.mean([line.recall.mean.value for line in figures.recalls])
    )
    (basophil,) = figures.unscored
    assert (basophil.key, basophil.images, sum(count for _, count in basophil.called)) == ("basophil", 1, 1)


def test_classes_that_the_model_was_never_taught_are_shown_by_what_they_are_called(asked):
    seeds = [asked("pbc", seed, known=FIVE_CLASSES, photographs=(9,) * 7) for seed in (0, 1)]
    figures = lab_figures(seeds)
    assert figures.scored == FIVE_CLASSES
    assert [line.key for line in figures.unscored] == ["immature_granulocyte", "other"]
    predictions = seeds[0].answers.predictions
    label = predictions.classes.index("other")
    said = [
        [run.answers.predictions.predicted[index] for run in seeds]
        for index in np.flatnonzero(predictions.truth == label)
    ]
    counts = {
        None if answer == -1 else predictions.classes[answer]: np.mean([np.sum(np.array(said) == answer)]) / 2
        for answer in np.unique(said)
    }
    assert dict(figures.unscored[1].called) == counts


def test_a_class_of_fewer_than_nine_groups_has_no_interval(asked):
    figures = lab_figures([asked("raabin", photographs=(14, 12, 8, 10, 9))])
    assert [line.key for line in figures.recalls if line.recall.mean.interval is None] == ["basophil"]


def test_seeds_are_averaged_draw_by_draw(asked):
    seeds = [asked("raabin", seed) for seed in range(3)]
    figures, alone = lab_figures(seeds), [lab_figures([one]) for one in seeds]
    assert figures.accuracy.values == tuple(one.accuracy.mean.value for one in alone)
    assert figures.accuracy.mean.value == pytest.approx(np.mean(figures.accuracy.values))
    assert figures.accuracy.spread == pytest.approx(np.std(figures.accuracy.values, ddof=1))
    expected = np.mean([one.draws for one in alone], axis=0)
    np.testing.assert_allclose(figures.draws, expected)
    low, high = np.percentile(expected[:, 0], [2.5, 97.5])
    assert (figures.accuracy.mean.interval.low, figures.accuracy.mean.interval.high) == pytest.approx(
        (low, high)
    )
    assert np.isnan(alone[0].accuracy.spread)


def test_seeds_that_answered_other_images_are_refused(asked):
    with pytest.raises(DataError, match="did not answer the same images"):
        lab_figures([asked("raabin"), asked("raabin", 1, photographs=(14, 12, 11, 10, 8))])


def test_a_gain_is_paired(asked):
    first, better = lab_figures([asked("raabin")]), lab_figures([asked("raabin", method="mixed", skill=4)])
    accuracy, balanced = difference(better, first)
    assert accuracy.value == pytest.approx(better.accuracy.mean.value - first.accuracy.mean.value)
    assert 0 < accuracy.interval.low < accuracy.value < accuracy.interval.high
    assert balanced.value > 0
    nothing, _ = difference(first, first)
    assert (nothing.value, nothing.interval.low, nothing.interval.high) == (0, 0, 0)


def test_what_was_asked_differently_is_not_compared(asked):
    first = lab_figures([asked("raabin")])
    assert difference(lab_figures([asked("raabin", known=FOUR)]), first) is None


def test_the_mean_over_labs_weighs_them_alike(asked):
    figures = [lab_figures([asked("raabin")]), lab_figures([asked("tecom", photographs=(90, 10, 1, 12, 11))])]
    expected = (figures[0].accuracy.mean.value + figures[1].accuracy.mean.value) / 2
    assert mean_over_labs(figures, "default", "accuracy") == pytest.approx(expected)
    assert np.isnan(mean_over_labs(figures, "mixed", "accuracy"))


def test_the_doubtful_photograph_is_left_out_beside(asked):
    one = asked("blood-cells", photographs=(12, 10, 9, 9))
    assert lab_figures([one]).settled is None
    predictions = one.answers.predictions
    doubtful = predictions.groups[-1]
    groups = tuple(
        "blood-cells/TEST/MONOCYTE/110" if group == doubtful else group for group in predictions.groups
    )
    renamed = replace(one, answers=replace(one.answers, predictions=replace(predictions, groups=groups)))
    figures = lab_figures([renamed])
    right = restricted(renamed)[1].correct
    kept = np.array([group != doubtful for group in predictions.groups])
    assert figures.settled.mean.value == pytest.approx(right[kept].mean())
    assert figures.accuracy.mean.value == pytest.approx(right.mean())


def test_a_lab_of_classes_that_the_model_does_not_know_has_no_figures(asked):
    one = asked("blood-cells", photographs=(3, 3, 3, 3))
    strange = replace(one, card=one.card.model_copy(update={"classes": ["basophil", "other"]}))
    with pytest.raises(DataError, match="no image of blood-cells"):
        lab_figures([strange])


def test_what_is_not_scored_goes_with_its_decision_and_its_failure(asked):
    one = asked("tecom", photographs=(20, 10, 1, 12, 11))
    predictions = one.answers.predictions
    basophil = int(np.flatnonzero(predictions.truth == predictions.classes.index("basophil"))[0])
    failed = tuple(f"{predictions.images[index]}: is torn" for index in (0, basophil))
    kept, _ = restricted(replace(one, answers=replace(one.answers, failed=failed)))
    assert kept.failed == failed[:1]
    chosen = [index for index in range(len(predictions)) if index != basophil]
    assert kept.decisions == tuple(one.answers.decisions[index] for index in chosen)
    assert kept.boxes == tuple(one.answers.boxes[index] for index in chosen)
