"""Which engine runs a bundle's classifier: the quickest that this machine has, if it answers as the reference does."""

from __future__ import annotations

from dataclasses import dataclass

from leukolens.bundle import Bundle
from leukolens.errors import BundleError, EngineError
from leukolens.reading import processor
from leukolens.reading.engine import Engine
from leukolens.reading.inputs import scaled
from leukolens.reading.runtimes import PROVIDERS, OnnxRuntime, OpenVino, has_openvino, providers
from leukolens.reading.vectors import Vectors, from_bytes

AUTO, REFERENCE = "auto", "onnxruntime"
WHOLE_NUMBERS, OPENVINO = "int8", "openvino"
ENGINES = (AUTO, REFERENCE, WHOLE_NUMBERS, OPENVINO, *PROVIDERS)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        quick: The engine beside the reference; None where the reference runs alone.
        note: One line where what was to run does not; empty otherwise.
    """

    quick: Engine | None = None
    note: str = ""


def choose(bundle: Bundle, wanted: str = AUTO, threads: int = 1, processors: int | None = None) -> Choice:
    """Chooses, and asks what is chosen about the crops that the bundle carries for this.

    Args:
        bundle: Whose classifier is to run.
        wanted: One of `ENGINES`.
        threads: Threads that one run may use.
        processors: That OpenVINO takes; None for all.

    Raises:
        EngineError: Where there is no such engine here.
        BundleError: Where what the bundle carries for it is damaged.
    """
    key = _quickest(bundle) if wanted == AUTO else wanted
    must_be_there(bundle, key)
    if key == REFERENCE:
        return Choice()
    if bundle.vectors is None:
        return Choice(note=_instead(key, "the bundle carries nothing to check it by"))
    engine = _engine(bundle, key, threads, processors)
    vectors = from_bytes(bundle.vectors, bundle.card.framing.size, len(bundle.card.classes))
    why = _differs(engine, vectors)
    return Choice(note=_instead(key, why)) if why else Choice(engine)


def on_a_device(bundle: Bundle, wanted: str) -> bool:
    """Whether something else than the processor is to run: several processes would each take of its memory."""
    return (_quickest(bundle) if wanted == AUTO else wanted) in PROVIDERS


def must_be_there(bundle: Bundle, key: str) -> None:
    """Returns where an engine can be had.

    Raises:
        EngineError: Where it cannot.
    """
    if key not in ENGINES:
        raise EngineError(f"there is no engine {key!r}", f"Use one of {', '.join(ENGINES)}")
    if key == WHOLE_NUMBERS and bundle.quick is None:
        raise EngineError(
            f"bundle {bundle.card.name} cannot be read in whole numbers",
            "Use another engine, or export it again",
        )
    if key == OPENVINO and not has_openvino():
        raise EngineError("OpenVINO is not installed", 'Install it with pip install "leukolens[openvino]"')
    if key in PROVIDERS and key not in providers():
        raise EngineError(
            f"this ONNX Runtime cannot use {key}", "Install its build for that, or use --engine onnxruntime"
        )


def _quickest(bundle: Bundle) -> str:
    if bundle.vectors is None:
        return REFERENCE
    if there := providers():
        return there[0]
    if has_openvino() and processor.has_tiles():
        return OPENVINO
    if bundle.quick is not None and processor.quick_at_whole_numbers():
        return WHOLE_NUMBERS
    return OPENVINO if has_openvino() and processor.quick_at_short_floats() else REFERENCE


def _engine(bundle: Bundle, key: str, threads: int, processors: int | None) -> Engine:
    if key == OPENVINO:
        return Engine(bundle, threads, OpenVino(processors))
    if key == WHOLE_NUMBERS:
        return Engine(bundle, threads, OnnxRuntime(kind=WHOLE_NUMBERS), bundle.quick)
    return Engine(bundle, threads, OnnxRuntime(PROVIDERS[key]))


def _differs(engine: Engine, vectors: Vectors) -> str:
    """Why an engine must not be used; empty where it may."""
    try:
        changed = vectors.changed(engine.logits(scaled(vectors.crops)))
    except BundleError as error:  # all that a runtime raises comes as one
        return error.problem
    return f"it names {changed} of {len(vectors.crops)} test cells otherwise" if changed else ""


def _instead(key: str, why: str) -> str:
    return f"{key} is not used: {why}; ONNX Runtime reads instead"
