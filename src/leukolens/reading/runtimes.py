"""What can run ONNX graphs on this machine, all behind one face: ONNX Runtime, on its processors, and OpenVINO."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from leukolens.reading.processor import processors

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from openvino import CompiledModel

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
"""What else ONNX Runtime may run on, where that build of it is installed."""


class Loaded(Protocol):
    """A graph that is ready to run, safely from several threads."""

    @property
    def given(self) -> tuple[str, ...]:
        """Names of its inputs."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of its outputs."""

    def run(self, outputs: list[str], given: str, value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """These outputs, of one input."""


class Runtime(Protocol):
    """Loads graphs."""

    @property
    def words(self) -> str:
        """What it is, with its version: ``onnxruntime 1.32.0``."""

    def load(self, graph: bytes, threads: int) -> Loaded:
        """The graph, to be run with so many threads. Whatever the library raises comes through."""


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """ONNX Runtime.

    Attributes:
        provider: What it runs on; the processor is the reference for everything else.
        kind: Of the numbers, where they are not float32; for `words`.
    """

    provider: str = "CPUExecutionProvider"
    kind: str = ""

    @property
    def words(self) -> str:
        """As `Runtime`."""
        import onnxruntime

        where = self.provider.removesuffix("ExecutionProvider").lower().replace("cpu", "")
        return " ".join(filter(None, (f"onnxruntime {onnxruntime.__version__}", where, self.kind)))

    def load(self, graph: bytes, threads: int) -> Loaded:
        """As `Runtime`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(graph, options, providers=[self.provider])
        if self.provider not in session.get_providers():  # it goes on with the processor, and says nothing
            raise RuntimeError(f"{self.provider} cannot be used here")
        return _OnnxSession(session)


class _OnnxSession:
    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self.given = tuple(given.name for given in session.get_inputs())
        self.outputs = tuple(output.name for output in session.get_outputs())

    def run(self, outputs: list[str], given: str, value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [np.asarray(answer) for answer in self._session.run(outputs, {given: value})]


@dataclass(frozen=True, slots=True)
class OpenVino:
    """OpenVINO on the processor, in bfloat16 where that has it: by its own choice, in float32 otherwise.

    Attributes:
        processors: That a run takes; None for all. Their number changes no bit.
    """

    processors: int | None = None

    @property
    def words(self) -> str:
        """As `Runtime`."""
        return f"openvino {metadata.version('openvino')}"

    def load(self, graph: bytes, threads: int) -> Loaded:
        """As `Runtime`."""
        import openvino

        beside = self.processors or processors()
        # Pinned, several processes would run on the same processor.
        how = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": beside, "ENABLE_CPU_PINNING": False}
        core = openvino.Core()
        return _OpenVinoModel(core.compile_model(core.read_model(graph, b""), "CPU", how))


class _OpenVinoModel:
    """One run at a time, on all its processors: OpenVINO 2026.4 locks up where threads ask it beside each other."""

    def __init__(self, model: CompiledModel) -> None:
        self.model = model
        self._request = model.create_infer_request()
        self._asking = threading.Lock()
        self.given = tuple(given.get_any_name() for given in model.inputs)
        self.outputs = tuple(output.get_any_name() for output in model.outputs)

    def run(self, outputs: list[str], given: str, value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        with self._asking:
            self._request.infer({given: value})
            # They are overwritten by the next run.
            return [np.array(self._request.get_tensor(name).data, np.float32) for name in outputs]


REFERENCE = OnnxRuntime()
"""What every figure was measured with, and what the others are compared to."""


def has_openvino() -> bool:
    """Whether the extra `openvino` is installed."""
    return find_spec("openvino") is not None


def providers() -> tuple[str, ...]:
    """Keys of `PROVIDERS` that this build of ONNX Runtime has."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    return tuple(key for key, provider in PROVIDERS.items() if provider in there)
