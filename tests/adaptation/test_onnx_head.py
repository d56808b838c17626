import numpy as np
import onnxruntime
import pytest

from leukolens.adaptation.onnx_head import Head, head_of, with_head
from leukolens.errors import BundleError

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("across", [True, False])
class TestAReplacedHead:
    def test_what_is_read_is_what_was_written(self, graph_of, colour_head, across):
        head = head_of(graph_of(*colour_head, across=across))
        np.testing.assert_array_equal(head.weight, colour_head[0])
        np.testing.assert_array_equal(head.bias, colour_head[1])

    def test_the_graph_is_the_one_that_onnx_would_have_made(self, graph_of, colour_head, across):
        rng = np.random.default_rng(1)
        new = Head(rng.normal(size=colour_head[0].shape), rng.normal(size=5))
        changed = with_head(graph_of(*colour_head, across=across), new)
        assert changed == graph_of(new.weight.astype("f4"), new.bias.astype("f4"), across=across)
        onnx.checker.check_model(onnx.load_from_string(changed), full_check=True)

    def test_the_runtime_answers_as_the_head_does_and_the_maps_add_up_to_it(
        self, graph_of, colour_head, across
    ):
        rng = np.random.default_rng(2)
        new = Head(rng.normal(size=colour_head[0].shape), rng.normal(size=5))
        session = onnxruntime.InferenceSession(with_head(graph_of(*colour_head, across=across), new))
        crops = rng.uniform(-1, 1, (3, 3, 32, 32)).astype("f4")
        logits, maps, features = session.run(["logits", "activation", "features"], {"crops": crops})
        np.testing.assert_allclose(logits, new.logits(features), atol=1e-5)
        np.testing.assert_allclose(maps.mean(axis=(2, 3)) + new.bias, logits, atol=1e-5)


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"operator": "MatMul"}, "no fully connected layer"),
        ({"features": "pooled_features"}, "does not take an output 'features'"),
        ({"alpha": 0.5}, "scales or turns"),
        ({"shared": True}, "serve two layers"),
        ({"external": True}, "not kept as plain float32"),
    ],
)
def test_a_graph_of_another_build_is_refused(graph_of, colour_head, odd, why):
    with pytest.raises(BundleError, match=why):
        head_of(graph_of(*colour_head, **odd))


def test_a_shipped_graph_without_features_is_refused(graph_maker):
    with pytest.raises(BundleError, match="no fully connected layer"):
        head_of(graph_maker(32, np.eye(3)))


def test_a_head_that_does_not_fit_or_holds_no_numbers_is_refused(graph_of, colour_head):
    model = graph_of(*colour_head)
    with pytest.raises(BundleError, match="does not fit"):
        with_head(model, Head(np.zeros((4, 6)), np.zeros(4)))
    with pytest.raises(BundleError, match="no number"):
        with_head(model, Head(np.full((5, 6), np.nan), np.zeros(5)))


def test_nothing_but_the_head_changes(graph_of, colour_head):
    model = graph_of(*colour_head)
    changed = with_head(model, Head(-colour_head[0], -colour_head[1]))
    before, after = (
        {tensor.name: tensor.raw_data for tensor in onnx.load_from_string(one).graph.initializer}
        for one in (model, changed)
    )
    assert {name for name in before if before[name] != after[name]} == {"weight", "bias", "weight4"}
    assert len(changed) == len(model)
