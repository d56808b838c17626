"""A torch module as an ONNX graph, without the exporter's notes."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from leukolens.errors import TrainingError

OPSET = 18


def graph_of(
    module: nn.Module, example: Tensor, given: str, answers: list[str], free: dict[int, Any]
) -> bytes:
    """The module's graph: one input, named outputs.

    Args:
        module: In evaluation mode.
        example: An input of a usual shape.
        given: Name of the input.
        answers: Names of the outputs.
        free: Axes of the input that may have any length, with torch's word for it.

    Raises:
        TrainingError: Where torch writes none.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, (example,), input_names=[given], output_names=answers, dynamic_shapes=(free,),
            opset_version=OPSET, dynamo=True, verbose=False,
        )  # fmt: skip
    if program is None:
        raise TrainingError("torch wrote no ONNX graph", "Use the torch version of constraints.txt")
    return _without_traces(program.model_proto)


def _without_traces(model: onnx.ModelProto) -> bytes:
    """The graph without the exporter's notes, which hold stack traces and paths of the machine."""
    for noted in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
