"""A graph cut into pieces that run one after the other, so that what passes between them can be looked at and changed.

Each piece is a small model of its own, put together from the bytes of the whole: fields of a message stand in any
order, so nodes and initialisers can be taken over as they are. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leukolens.adaptation.onnx_graph import FLOAT, GRAPH, INITIALISER, NODE, Graph, Node, graph_in
from leukolens.errors import BundleError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_GRAPH_NAME, _GRAPH_INPUT, _GRAPH_OUTPUT = 2, 11, 12  # of a graph
_VALUE_NAME, _VALUE_TYPE = 1, 2  # of a value
_TENSOR_TYPE, _ELEMENT_TYPE = 1, 1  # of a type, of a tensor's type
_NUMBER, _BYTES = 0, 2  # wire types


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a graph.

    Attributes:
        model: The piece, serialised.
        given: What it takes of what went before.
        gives: What it gives to those after it.
        kept: All that those after it take, its own and what went before.
    """

    model: bytes
    given: tuple[str, ...]
    gives: tuple[str, ...]
    kept: frozenset[str]


def segments(model: bytes, cuts: Sequence[str]) -> tuple[Segment, ...]:
    """The model up to each of these tensors, piece by piece.

    Args:
        model: Serialised, with float32 tensors between its nodes.
        cuts: Names of tensors in the order in which nodes give them. Each piece ends with the node that gives one,
            and gives it in any case; what comes after the last is left out.

    Raises:
        BundleError: Where the bytes are no model, or no node gives a tensor.
    """
    graph = graph_in(model)
    ends: list[int] = []
    for cut in cuts:
        end = next((at for at, node in enumerate(graph.nodes, 1) if cut in node.outputs), 0)
        if not end or (ends and end <= ends[-1]):
            raise BundleError(
                f"the classifier's graph gives no {cut!r} where it should",
                "Export the bundle or fetch it again",
            )
        ends.append(end)
    found = []
    for start, end, cut in zip([0, *ends[:-1]], ends, cuts, strict=True):
        nodes, later = graph.nodes[start:end], graph.nodes[end : ends[-1]]
        own = [name for node in nodes for name in node.outputs if name]
        kept = frozenset(_taken(graph, later)) | {cut}
        given = tuple(name for name in _taken(graph, nodes) if name not in own)
        gives = tuple(name for name in own if name in kept)
        inner = {name for node in later for name in node.outputs}
        found.append(Segment(_piece(model, graph, nodes, given, gives), given, gives, kept - inner))
    return tuple(found)


def loaded(segment: Segment) -> InferenceSession:
    """A session that runs the piece on one thread.

    Raises:
        BundleError: Where ONNX Runtime takes it for none.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = False  # each piece would keep one, for answers that outlive it
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(segment.model, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's errors have no common public base.
    except Exception as error:
        raise _cannot(error) from error


def run(session: InferenceSession, segment: Segment, values: dict[str, NDArray[np.float32]]) -> None:
    """Runs the piece; ``values`` then hold what later pieces take, and nothing else.

    Raises:
        BundleError: Where it cannot run.
    """
    try:
        answers = session.run(list(segment.gives), {name: values[name] for name in segment.given})
    except Exception as error:
        raise _cannot(error) from error
    for name in values.keys() - segment.kept:
        del values[name]
    values.update(zip(segment.gives, answers, strict=True))


def _taken(graph: Graph, nodes: Sequence[Node]) -> list[str]:
    """What these nodes take beside weights, each once, in order; an input that is left out has no name."""
    names = dict.fromkeys(name for node in nodes for name in node.inputs)
    return [name for name in names if name and name not in graph.weights]


def _piece(
    model: bytes, graph: Graph, nodes: Sequence[Node], given: tuple[str, ...], gives: tuple[str, ...]
) -> bytes:
    weights = dict.fromkeys(name for node in nodes for name in node.inputs if name in graph.weights)
    inner = b"".join(
        [
            *(_field(NODE, model[slice(*node.span)]) for node in nodes),
            _field(_GRAPH_NAME, b"segment"),
            *(_field(INITIALISER, model[slice(*graph.weights[name].span)]) for name in weights),
            *(_field(_GRAPH_INPUT, _floats(name)) for name in given),
            *(_field(_GRAPH_OUTPUT, _floats(name)) for name in gives),
        ]
    )
    return b"".join([*(model[start:stop] for start, stop in graph.beside), _field(GRAPH, inner)])


def _floats(name: str) -> bytes:
    """A value of float32 and any shape."""
    element = _varint(_ELEMENT_TYPE << 3 | _NUMBER) + _varint(FLOAT)
    return _field(_VALUE_NAME, name.encode()) + _field(_VALUE_TYPE, _field(_TENSOR_TYPE, element))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    content = bytearray()
    while value > 127:
        content.append(value & 127 | 128)
        value >>= 7
    return bytes([*content, value])


def _cannot(error: Exception) -> BundleError:
    first = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
    return BundleError(
        f"a part of the classifier's graph cannot run ({first})", "Export the bundle or fetch it again"
    )
