"""Runs a bundle's ONNX graphs; `adaptation.onnx_segments` alone runs pieces of one elsewhere."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.errors import BundleError
from leukolens.reading.runtimes import REFERENCE, Loaded, Runtime

INPUT, LOGITS, ACTIVATION, FEATURES = "crops", "logits", "activation", "features"
FIELDS, HEAT, SHAPE = "fields", "heat", "shape"


class _Graph:
    """One graph, loaded at the first run and safe to run from several threads.

    One thread a run is the default: the same input then gives the same answer to the bit however many
    runs go on beside each other, which is also the fastest way to read many images.
    """

    def __init__(
        self,
        bundle: Bundle,
        graph: bytes,
        given: str,
        needed: tuple[str, ...],
        threads: int,
        runtime: Runtime = REFERENCE,
    ) -> None:
        self.bundle, self.graph, self.given, self.needed = bundle, graph, given, needed
        self.threads, self.runtime = threads, runtime
        self._session: Loaded | None = None
        self._loading = threading.Lock()

    def gives(self, output: str) -> bool:
        return output in self._loaded().outputs

    def run(self, outputs: list[str], value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        session = self._loaded()
        try:
            return session.run(outputs, self.given, value)
        # The runtimes' errors have no common public base.
        except Exception as error:
            raise self.misfit(f"its graph cannot run ({_first_line(error)})") from error

    def _loaded(self) -> Loaded:
        with self._loading:
            if self._session is None:
                self._session = self._load()
            return self._session

    def _load(self) -> Loaded:
        try:
            session = self.runtime.load(self.graph, self.threads)
        except Exception as error:
            raise self.misfit(f"its graph cannot be loaded ({_first_line(error)})") from error
        if session.given != (self.given,):
            raise self.misfit(f"its graph's input is not {self.given!r} alone")
        for output in self.needed:
            if output not in session.outputs:
                raise self.misfit(f"its graph has no output {output!r}")
        return session

    def misfit(self, problem: str) -> BundleError:
        return BundleError(
            f"bundle {self.bundle.card.name} is damaged: {problem}", "Export it or fetch it again"
        )


class Engine:
    """A bundle's classifier, ready to run.

    Args:
        bundle: Whose graph to run.
        threads: Threads that one run may use.
        runtime: What runs it.
        graph: Another form of the classifier; None for the bundle's own.
    """

    def __init__(
        self, bundle: Bundle, threads: int = 1, runtime: Runtime = REFERENCE, graph: bytes | None = None
    ) -> None:
        self.bundle = bundle
        self._graph = _Graph(bundle, graph or bundle.classifier, INPUT, (LOGITS,), threads, runtime)

    @property
    def words(self) -> str:
        """What runs it, with its version."""
        return self._graph.runtime.words

    def check_activation(self) -> None:
        """Returns where the graph gives class activation maps.

        Raises:
            BundleError: Where it doesn't.
        """
        if not self._graph.gives(ACTIVATION):
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

    @property
    def gives_features(self) -> bool:
        """Whether the graph gives what its last layer sees; older bundles' don't.

        Raises:
            BundleError: Where the graph cannot be loaded.
        """
        return self._graph.gives(FEATURES)

    def logits_and_features(
        self, crops: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits, and the features (n, d) that they are a linear map of, from one run of the graph.

        Raises:
            BundleError: As above, or where the graph gives no features.
        """
        if not self.gives_features:
            raise BundleError(
                f"bundle {self.bundle.card.name} gives no features, so it cannot tell what is unlike its own cells",
                "Export it again from its run with `leukolens export`",
            )
        logits, features = self._run([LOGITS, FEATURES], crops)
        return logits, features

    def _run(self, outputs: list[str], crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        answers = dict(zip(outputs, self._graph.run(outputs, crops), strict=True))
        expected = (len(crops), len(self.bundle.card.classes))
        for name, answer in answers.items():
            fits = answer.shape[:1] == expected[:1] if name == FEATURES else answer.shape[:2] == expected
            if not fits or (name == FEATURES and answer.ndim != 2):
                raise self._graph.misfit(f"its graph answers {answer.shape}, its card says {expected}")
            if name != ACTIVATION and not np.isfinite(answer).all():
                raise self._graph.misfit("its graph answers with no number")
        return [answers[name] for name in outputs]


class FindingEngine:
    """A bundle's detector, ready to run.

    Args:
        bundle: Whose graph to run.
        threads: Threads that one run may use.

    Raises:
        BundleError: Where the bundle has no detector.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        if bundle.card.finding is None or bundle.detector is None:
            raise BundleError(
                f"bundle {bundle.card.name} has no detector, so it reads single cells only",
                "Use the shipped bundle, or add a detector with `leukolens export RUN --into BUNDLE`",
            )
        self.finding = bundle.card.finding
        self._graph = _Graph(bundle, bundle.detector, FIELDS, (HEAT, SHAPE), threads)

    def peaks(self, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Heat (kinds, h / 4, w / 4) and shape (4, h / 4, w / 4) of a field (3, h, w).

        Raises:
            BundleError: Where the graph cannot run, or its answer doesn't fit the card.
        """
        heat, shape = (answer[0] for answer in self._graph.run([HEAT, SHAPE], field[None]))
        places = (field.shape[1] // 4, field.shape[2] // 4)
        if heat.shape != (len(self.finding.kinds), *places) or shape.shape != (4, *places):
            raise self._graph.misfit(f"its detector answers {heat.shape} and {shape.shape}")
        if not (np.isfinite(heat).all() and np.isfinite(shape).all()):
            raise self._graph.misfit("its detector answers with no number")
        return heat, shape


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160]
