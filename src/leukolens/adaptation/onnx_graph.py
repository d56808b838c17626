"""As much of ONNX's protocol buffers as it takes to find a graph's nodes and where its weights' bytes lie.

The wire format is https://protobuf.dev/programming-guides/encoding; the field numbers are those of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leukolens.errors import BundleError

FLOAT = 1

GRAPH = 7  # of a model
NODE, INITIALISER = 1, 5  # of a graph
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_ATTRIBUTE_NAME, _ATTRIBUTE_FLOAT, _ATTRIBUTE_INT = 1, 2, 3
_DIMENSION, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9  # of a tensor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        operator: Its type, e.g. ``Gemm``.
        inputs: Names of what it takes.
        outputs: Names of what it gives.
        attributes: Names of its attributes; their value where it is a whole number, else None.
        span: Where its message begins and ends in the model.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, int | None]
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Weights:
    """One initialiser.

    Attributes:
        name: Its name.
        shape: Its dimensions.
        kind: Its data type's number; 1 is float32.
        start: Where its bytes begin in the model; they are little-endian.
        length: How many there are; 0 where the model keeps its values in another way.
        span: Where its message begins and ends in the model.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    length: int
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Graph:
    """What a model computes.

    Attributes:
        nodes: Its operations, in their order.
        weights: Its initialisers by name.
        beside: Where the model's other fields begin and end, with their tags: versions, operator sets.
    """

    nodes: tuple[Node, ...]
    weights: dict[str, Weights]
    beside: tuple[tuple[int, int], ...]

    def giver(self, output: str) -> Node | None:
        """The operation that gives this output; None where none does."""
        return next((node for node in self.nodes if output in node.outputs), None)

    def takers(self, name: str) -> int:
        """How many operations take this."""
        return sum(name in node.inputs for node in self.nodes)


def graph_in(model: bytes) -> Graph:
    """The graph of a serialised ONNX model.

    Raises:
        BundleError: Where the bytes are none.
    """
    nodes: list[Node] = []
    weights: dict[str, Weights] = {}
    beside: list[tuple[int, int]] = []
    field = 0
    try:
        for number, start, stop in _parts(model, 0, len(model)):
            began, field = field, stop
            if number != GRAPH:
                beside.append((began, stop))
                continue
            for inner, begin, end in _parts(model, start, stop):
                if inner == NODE:
                    nodes.append(_node(model, begin, end))
                elif inner == INITIALISER:
                    found = _weights(model, begin, end)
                    weights[found.name] = found
    except (IndexError, ValueError) as error:
        raise BundleError(
            f"the classifier's graph cannot be taken apart ({error})", "Export the bundle or fetch it again"
        ) from error
    return Graph(tuple(nodes), weights, tuple(beside))


def _node(data: bytes, start: int, stop: int) -> Node:
    inputs, outputs, operator = [], [], ""
    attributes: dict[str, int | None] = {}
    for number, begin, end in _parts(data, start, stop):
        if number == _INPUT:
            inputs.append(data[begin:end].decode())
        elif number == _OUTPUT:
            outputs.append(data[begin:end].decode())
        elif number == _OPERATOR:
            operator = data[begin:end].decode()
        elif number == _ATTRIBUTE:
            name, value = _attribute(data, begin, end)
            attributes[name] = value
    return Node(operator, tuple(inputs), tuple(outputs), attributes, (start, stop))


def _attribute(data: bytes, start: int, stop: int) -> tuple[str, int | None]:
    name, value = "", None
    for number, begin, end in _parts(data, start, stop):
        if number == _ATTRIBUTE_NAME:
            name = data[begin:end].decode()
        elif number == _ATTRIBUTE_INT:
            value = _varint(data, begin)[0]
        elif number == _ATTRIBUTE_FLOAT and data[begin:end] == b"\x00\x00\x80\x3f":
            value = 1
    return name, value


def _weights(data: bytes, start: int, stop: int) -> Weights:
    name, kind, raw = "", 0, (0, 0)
    shape: list[int] = []
    for number, begin, end in _parts(data, start, stop):
        if number == _DIMENSION:  # one a field, or all packed into one
            at = begin
            while at < end:
                size, at = _varint(data, at)
                shape.append(size)
        elif number == _DATA_TYPE:
            kind = _varint(data, begin)[0]
        elif number == _TENSOR_NAME:
            name = data[begin:end].decode()
        elif number == _RAW_DATA:
            raw = begin, end - begin
    return Weights(name, tuple(shape), kind, *raw, (start, stop))


def _parts(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Each field of a message: its number, and where its value begins and ends."""
    while at < stop:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            end = _varint(data, at)[1]
        elif wire == _BYTES:
            length, at = _varint(data, at)
            end = at + length
        elif wire in (_FIXED64, _FIXED32):
            end = at + (8 if wire == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if end > stop:
            raise ValueError(f"a value ends after its message at byte {at}")
        yield tag >> 3, at, end
        at = end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError(f"a number is too long at byte {at}")
