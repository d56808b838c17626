"""Runs a bundle's ONNX graph on the CPU: the only file that knows ONNX Runtime."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.errors import BundleError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUT, LOGITS, ACTIVATION = "crops", "logits", "activation"


class Engine:
    """A classifier's graph, ready to run; loaded at the first run, and safe to run from several threads.

    One thread a run is the default: the same crops then give the same logits to the bit however many
    runs go on beside each other, which is also the fastest way to read many images.

    Args:
        bundle: Whose graph to run.
        threads: Threads that one run may use.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self.threads = threads
        self._session: InferenceSession | None = None
        self._loading = threading.Lock()

    def check_activation(self) -> None:
        """Returns where the graph gives class activation maps.

        Raises:
            BundleError: Where it doesn't.
        """
        if all(output.name != ACTIVATION for output in self._loaded().get_outputs()):
            raise BundleError(
                f"bundle {self.bundle.card.name} has no class activation maps",
                "Use one whose network has the `pool` head",
            )

    def logits(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n, classes) of crops (n, 3, size, size), scaled as `Bundle` says.

        Raises:
            BundleError: Where the graph cannot run, or its answer doesn't fit the card.
        """
        return self._run([LOGITS], crops)[0]

    def logits_and_activation(
        self, crops: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same, and the class activation maps (n, classes, h, w).

        Raises:
            BundleError: As above, or where the graph gives no activation.
        """
        self.check_activation()
        logits, activation = self._run([LOGITS, ACTIVATION], crops)
        return logits, activation

    def _run(self, outputs: list[str], crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        session = self._loaded()
        try:
            answers = [np.asarray(answer) for answer in session.run(outputs, {INPUT: crops})]
        # ONNX Runtime's errors have no common public base.
        except Exception as error:
            raise self._misfit(f"its graph cannot run ({_first_line(error)})") from error
        expected = (len(crops), len(self.bundle.card.classes))
        for answer in answers:
            if answer.shape[:2] != expected:
                raise self._misfit(f"its graph answers {answer.shape}, its card says {expected}")
        if not np.isfinite(answers[0]).all():
            raise self._misfit("its graph answers with no number")
        return answers

    def _loaded(self) -> InferenceSession:
        with self._loading:
            if self._session is None:
                self._session = self._load()
            return self._session

    def _load(self) -> InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                self.bundle.classifier, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise self._misfit(f"its graph cannot be loaded ({_first_line(error)})") from error
        if [given.name for given in session.get_inputs()] != [INPUT]:
            raise self._misfit(f"its graph's input is not {INPUT!r} alone")
        if LOGITS not in {output.name for output in session.get_outputs()}:
            raise self._misfit(f"its graph has no output {LOGITS!r}")
        return session

    def _misfit(self, problem: str) -> BundleError:
        name = self.bundle.card.name
        return BundleError(f"bundle {name} is damaged: {problem}", "Export it or fetch it again")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160]
