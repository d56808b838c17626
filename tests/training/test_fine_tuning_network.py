"""A network out of a bundle's graph answers as the graph does, and goes back into it as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from leukolens.adaptation.normalisation import pack, unpack
from leukolens.bundle import Bundle
from leukolens.bundle import pack as packed
from leukolens.bundle import unpack as unpacked
from leukolens.card import Card, Framing, Judgement
from leukolens.errors import BundleError
from leukolens.models.resnet import NETWORKS, Basic, Bottleneck, ResNet
from leukolens.reading.engine import Engine
from leukolens.training.export import to_onnx
from leukolens.training.fine_tuning_network import graph_with, head_in, network_of, put_head
from leukolens.training.normalisation import normalisation_of

SIZE = 32
DEAD = 3
"""A channel that training switched off."""


def trained(network: ResNet) -> ResNet:
    """As after some training: no scale, shift, mean or variance is what it began with."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.3, 1.5)
                layer.weight[DEAD] = 1e-9
                layer.bias.normal_(0, 0.3)
                layer.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
                layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()


def bundle_of(network: ResNet, name: str) -> Bundle:
    card = Card(
        name="drawn", leukolens="0.1.0", network=name, parameters=1, recipe="none", recipe_sha256="0" * 64, seed=0,
        classes=["neutrophil", "lymphocyte", "monocyte"], framing=Framing(size=SIZE, whole_image=True),
        judgement=Judgement(), learned_from=[],
    )  # fmt: skip
    graph = to_onnx(network, SIZE)
    return unpacked(packed(card, graph, normalisation=normalisation_of(network)), "drawn")


@pytest.fixture(scope="module", autouse=True)
def _small_networks() -> object:
    """Kin of the real ones, small enough to be exported in a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "small", lambda classes, **options: ResNet(Basic, (1, 1), classes, **options))
        patch.setitem(
            NETWORKS, "narrow", lambda classes, **options: ResNet(Bottleneck, (1, 1), classes, **options)
        )
        yield


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.manual_seed(0)
    return bundle_of(trained(NETWORKS["narrow"](3, stride_first=True, bias=True)), "narrow")


def shown() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (5, 3, SIZE, SIZE)).astype(np.float32)


def test_the_network_answers_as_the_graph_does(bundle: Bundle) -> None:
    expected = Engine(bundle).logits(shown())
    assert expected.std() > 0.1
    with torch.inference_mode():
        np.testing.assert_allclose(network_of(bundle)(torch.from_numpy(shown())).numpy(), expected, atol=1e-4)


def test_a_network_that_softens_what_it_is_asked_comes_back_as_one() -> None:
    torch.manual_seed(0)
    soft = bundle_of(trained(NETWORKS["narrow"](3, smooth=True)), "narrow")
    network = network_of(soft)
    assert network.smooth
    with torch.inference_mode():
        answers = network(torch.from_numpy(shown())).numpy()
    np.testing.assert_allclose(answers, Engine(soft).logits(shown()), atol=1e-4)


def test_its_normalisation_is_what_the_bundle_says_it_was(bundle: Bundle) -> None:
    assert bundle.normalisation is not None
    norm = network_of(bundle).norm
    given = unpack(bundle.normalisation)["network.conv.weight"]
    alive = np.arange(64) != DEAD
    np.testing.assert_allclose(norm.weight.detach().numpy()[alive], given.scale[alive])
    np.testing.assert_allclose(norm.bias.detach().numpy(), given.shift)
    assert norm.weight[DEAD] == 1


def test_put_back_untouched_it_is_the_same_graph(bundle: Bundle) -> None:
    graph = graph_with(bundle, network_of(bundle))
    assert len(graph) == len(bundle.classifier)
    np.testing.assert_allclose(
        Engine(replace(bundle, classifier=graph)).logits(shown()), Engine(bundle).logits(shown()), atol=1e-5
    )


def test_put_back_after_training_the_graph_answers_as_the_network_does(bundle: Bundle) -> None:
    network = network_of(bundle)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        network.norm.running_mean.add_(0.2)  # type: ignore[operator, union-attr]
        network.norm.running_var.mul_(1.5)  # type: ignore[operator, union-attr]
        expected = network(torch.from_numpy(shown())).numpy()
    engine = Engine(replace(bundle, classifier=graph_with(bundle, network)))
    logits, maps = engine.logits_and_activation(shown())
    assert np.abs(expected - Engine(bundle).logits(shown())).max() > 0.1
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    np.testing.assert_allclose(maps.mean(axis=(2, 3)) + head_in(network).bias, expected, atol=1e-3)


def test_the_last_layer_can_be_given_and_read(bundle: Bundle) -> None:
    network = network_of(bundle)
    head = head_in(network)
    head.weight[0] += 1
    assert head_in(network).weight[0, 0] != head.weight[0, 0]  # it is a copy
    put_head(network, head)
    np.testing.assert_allclose(head_in(network).weight, head.weight, rtol=1e-6)


class TestRefused:
    def test_a_bundle_that_does_not_carry_its_normalisation(self, bundle: Bundle) -> None:
        with pytest.raises(BundleError, match="bundle drawn carries no normalisation") as caught:
            network_of(replace(bundle, normalisation=None))
        assert "--fine-tune" in caught.value.remedy

    @pytest.mark.parametrize("name", ["small", "unheard-of"])
    def test_a_graph_of_another_network(self, bundle: Bundle, name: str) -> None:
        other = replace(bundle, card=bundle.card.model_copy(update={"network": name}))
        with pytest.raises(BundleError, match=f"is no {name} with batch normalisation"):
            network_of(other)

    def test_normalisation_of_another_bundle(self, bundle: Bundle) -> None:
        assert bundle.normalisation is not None
        norms = unpack(bundle.normalisation)
        fewer = {name: norm for name, norm in norms.items() if name != "network.conv.weight"}
        with pytest.raises(BundleError, match="is no narrow"):
            network_of(replace(bundle, normalisation=pack(fewer)))

    def test_weights_that_are_no_number(self, bundle: Bundle) -> None:
        network = network_of(bundle)
        with torch.no_grad():
            network.conv.weight[0, 0, 0, 0] = float("nan")
        with pytest.raises(BundleError, match=r"no number in 'network.conv.weight'"):
            graph_with(bundle, network)
