import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from leukolens.adaptation.head import Cells, Search, minimise, space_of
from leukolens.adaptation.onnx_head import Head


@pytest.fixture
def cells():
    """Three classes that overlap, features of very different size."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 40)
    features = rng.normal(size=(120, 4)) + np.eye(3, 4)[truth]
    return Cells(features * [1, 10, 0.1, 3] + 5, truth, rng.uniform(0.5, 2, 120))


OLD = Head(np.array([[0.3, 0, 1, 0], [0, 0.1, 0, 0], [0.2, 0, 0, -0.4]]), np.array([0.1, -0.3, 0.0]))


def probabilities(head, features):
    raised = np.exp(head.logits(features) - head.logits(features).max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def test_without_a_prior_it_is_plain_logistic_regression(cells):
    head = Search.among(OLD, cells, space_of(cells, 1.0)).head(0.0)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000)
    oracle.fit(cells.features, cells.truth, sample_weight=cells.weight)
    np.testing.assert_allclose(
        probabilities(head, cells.features), oracle.predict_proba(cells.features), atol=2e-3
    )


@pytest.mark.parametrize("strength", [0.3, 3.0, 30.0])
def test_with_a_prior_around_nothing_it_is_ridge_logistic_regression(cells, strength):
    space = space_of(cells, 1.0)
    head = Search.among(Head(np.zeros((3, 4)), np.zeros(3)), cells, space).head(strength)
    # A column of ones makes the oracle's bias one of its drawn weights, as here.
    inputs = np.column_stack([(cells.features - space.mean) / space.deviation, np.ones(120)])
    oracle = LogisticRegression(C=1 / strength, fit_intercept=False, tol=1e-10, max_iter=10000)
    oracle.fit(inputs, cells.truth, sample_weight=cells.weight)
    np.testing.assert_allclose(probabilities(head, cells.features), oracle.predict_proba(inputs), atol=1e-3)


def test_a_tight_prior_leaves_the_old_head_and_a_loose_one_leaves_it_behind(cells):
    search = Search.among(OLD, cells, space_of(cells, 1.0))
    before = OLD.logits(cells.features)
    apart = [
        np.abs(search.head(strength).logits(cells.features) - before).max()
        for strength in (1e8, 1e3, 10, 0.1)
    ]
    assert apart[0] < 1e-3
    assert apart == sorted(apart)


def test_the_space_keeps_the_axes_with_most_of_the_variance():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 10))
    cells = Cells(plane, np.zeros(200, np.int64), np.ones(200))
    space = space_of(cells)
    assert space.axes.shape == (10, 2)
    along = space.along(plane)
    np.testing.assert_allclose((along**2).mean(axis=0), space.power)
    np.testing.assert_allclose(along @ space.axes.T, (plane - space.mean) / space.deviation, atol=1e-8)


def test_equal_features_are_no_division_by_zero():
    cells = Cells(np.ones((4, 3)), np.array([0, 1, 0, 1]), np.ones(4))
    head = Search.among(Head(np.eye(2, 3), np.zeros(2)), cells, space_of(cells)).head(1.0)
    assert np.isfinite(head.weight).all()


def test_the_lowest_point_is_scipys():
    rng = np.random.default_rng(3)
    square = rng.normal(size=(20, 20))
    square = square @ square.T + np.eye(20)
    wanted = rng.normal(size=20)

    def objective(point):
        apart = point - wanted
        value = np.log1p(apart @ square @ apart)
        return float(value), 2 * square @ apart / np.exp(value)

    found = minimise(objective, np.zeros(20))
    oracle = minimize(objective, np.zeros(20), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    assert objective(found)[0] <= oracle.fun + 1e-3
