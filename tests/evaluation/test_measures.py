import numpy as np
import pytest
from sklearn import metrics as oracle

from leukolens.evaluation.intervals import groups_of, resampled_weights
from leukolens.evaluation.measures import class_measures, confusion_of, headline, headline_draws
from leukolens.evaluation.predictions import Predictions


def _written_out(predictions, times):
    """The images of a resample; each drawing of a photograph becomes a photograph of its own."""
    rows, names, groups = [], [], []
    for index, group in enumerate(predictions.groups):
        for copy in range(times[group]):
            rows.append(index)
            names.append(f"{predictions.images[index]} {copy}")
            groups.append(f"{group} {copy}")
    return Predictions(
        predictions.classes,
        tuple(names),
        tuple(groups),
        predictions.truth[rows],
        predictions.probabilities[rows],
    )


def _resamples(predictions, count):
    groups = groups_of(predictions)
    for row in next(resampled_weights(groups))[:count]:
        yield _written_out(predictions, dict(zip(groups.keys, row.astype(int), strict=True)))


def test_the_headline_is_the_three_accuracies(drawn):
    predictions = drawn(1)
    line = headline(predictions)
    assert line.accuracy.value == pytest.approx(predictions.correct.mean())
    answered = np.where(predictions.found, predictions.predicted, 4)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert line.balanced_accuracy.value == pytest.approx(
            oracle.balanced_accuracy_score(predictions.truth, answered)
        )
    assert (line.images, line.groups) == (len(predictions), 51)
    assert line.lost == (~predictions.found).sum()


def test_every_draw_of_the_headline_is_the_headline_of_that_resample(drawn):
    predictions = drawn(2)
    draws = headline_draws(predictions)
    for draw, resampled in zip(draws, _resamples(predictions, 12), strict=False):
        line = headline(resampled)
        assert draw == pytest.approx(
            [line.accuracy.value, line.balanced_accuracy.value, line.photograph_accuracy.value]
        )


def test_the_intervals_hold_the_figures_and_are_no_wider_than_they_should(drawn):
    line = headline(drawn(3))
    for figure in (line.accuracy, line.balanced_accuracy, line.photograph_accuracy):
        assert figure.interval.low < figure.value < figure.interval.high
        assert figure.interval.high - figure.interval.low < 0.4


def test_fewer_than_nine_photographs_have_no_interval(drawn):
    assert headline(drawn(photographs=(4, 4, 0, 0))).accuracy.interval is None
    assert headline(drawn(photographs=(5, 4, 0, 0))).accuracy.interval is not None


def test_a_class_of_fewer_than_nine_photographs_has_no_interval_in_any_figure(drawn):
    *plenty, rare = class_measures(drawn(4))
    assert (rare.key, rare.groups) == ("monocyte", 4)
    for figure in (rare.precision, rare.recall, rare.f1, rare.area):
        assert figure.interval is None
        assert 0 <= figure.value <= 1
    for line in plenty:
        for figure in (line.precision, line.recall, line.f1, line.area):
            assert figure.interval.low <= figure.value <= figure.interval.high


def test_class_figures_are_sklearns(drawn):
    predictions = drawn(5)
    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        predictions.truth, predictions.predicted, labels=range(4)
    )
    for label, line in enumerate(class_measures(predictions)):
        assert line.precision.value == pytest.approx(precision[label])
        assert line.recall.value == pytest.approx(recall[label])
        assert line.f1.value == pytest.approx(f1[label])
        assert line.images == support[label]


def test_the_interval_of_a_class_is_that_of_its_figure_over_resamples(drawn):
    predictions = drawn(6, photographs=(12, 12, 10, 4), copies=4)
    line = class_measures(predictions)[1]
    recalls, areas = [], []
    for resampled in _resamples(predictions, 400):
        matrix = confusion_of(resampled)
        recalls.append(matrix[1, 1] / matrix[1].sum())
        scores = np.nan_to_num(resampled.probabilities[:, 1], nan=-1)
        areas.append(oracle.roc_auc_score(resampled.truth == 1, scores))
    for interval, slow in ((line.recall.interval, recalls), (line.area.interval, areas)):
        assert interval.low == pytest.approx(np.percentile(slow, 2.5), abs=0.03)
        assert interval.high == pytest.approx(np.percentile(slow, 97.5), abs=0.03)


def test_a_class_counts_the_photographs_it_got_right(given):
    rows = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    lines = class_measures(given(rows, [0, 0, 0, 0], ["a", "a", "a", "b"]))
    assert (lines[0].groups, lines[0].right_groups, lines[0].images) == (2, 1, 4)
    assert (lines[1].groups, lines[1].images) == (0, 0)
    assert np.isnan(lines[1].recall.value)


def test_one_class_alone_is_measured_without_areas(drawn):
    first, *_ = class_measures(drawn(photographs=(12, 0, 0, 0)))
    assert first.recall.interval is not None
    assert np.isnan(first.area.value)
    assert first.area.interval is None


def test_no_images_are_measured_as_nothing(given):
    line = headline(given([], []))
    assert line.images == line.groups == 0
    assert np.isnan(line.accuracy.value)
    assert line.accuracy.interval is None
    assert [measure.images for measure in class_measures(given([], []))] == [0, 0, 0, 0]


def test_nothing_found_anywhere_is_all_wrong(given):
    line = headline(given([[float("nan")] * 4] * 12, [0] * 12))
    assert line.accuracy.value == line.photograph_accuracy.value == 0
    assert line.lost == 12
