"""What many tests share: where the real images are, if anywhere, a tiny bundle with a known answer, and databases."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from leukolens.bundle import Bundle, pack, unpack
from leukolens.card import Card, Framing, Judgement

REPOSITORY = Path(__file__).resolve().parents[1]
KINDS = ("sqlite", "postgresql")
KIND = os.environ.get("LEUKOLENS_TEST_DATABASE", KINDS[0])
if KIND not in KINDS:
    raise pytest.UsageError(f"LEUKOLENS_TEST_DATABASE is {KIND!r}, and neither {' nor '.join(KINDS)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL leaves out what no choice of a database changes: it asks none, or runs on both kinds anyway."""
    if KIND != "postgresql":
        return
    config.hook.pytest_deselected(items=[item for item in items if not _runs_on_the_kind_asked_for(item)])
    items[:] = filter(_runs_on_the_kind_asked_for, items)


def _runs_on_the_kind_asked_for(item: pytest.Item) -> bool:
    given = getattr(getattr(item, "callspec", None), "params", {})
    return "kind" in getattr(item, "fixturenames", ()) and "kind" not in given


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets; the test is skipped, with the reason, where there is none."""
    named = os.environ.get("LEUKOLENS_DATA")
    root = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real images at {root}; set LEUKOLENS_DATA")
    return root


# What each class of the tiny bundle likes: the weights of red, green and blue, in taxonomy order.
TINY_WEIGHTS = {
    "neutrophil": (8, -4, -4),
    "eosinophil": (-4, 8, -4),
    "basophil": (-4, -4, 8),
    "lymphocyte": (4, 4, -8),
    "monocyte": (4, -8, 4),
    "immature_granulocyte": (-8, 4, 4),
    "other": (-5, -5, -5),
}
TINY_BIAS = 0.125


def tiny_graph(
    size: int, weights: Any, *, activation: bool = True, features: bool = False, **names: str
) -> bytes:
    """An ONNX graph whose logits are the crop's mean colour times ``weights`` (classes, 3), plus the bias.

    Its features, where it gives any, are that mean colour.
    """
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.asarray(weights, np.float32)
    crops, logits = names.get("crops", "crops"), names.get("logits", "logits")
    stride = size // 4
    nodes = [
        helper.make_node("AveragePool", [crops], ["pooled"], kernel_shape=[stride] * 2, strides=[stride] * 2),
        helper.make_node("Conv", ["pooled", "weights"], ["activation"], kernel_shape=[1, 1]),
        helper.make_node("ReduceMean", ["activation"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], [logits]),
    ]
    outputs = [helper.make_tensor_value_info(logits, kind, ["n", len(weights)])]
    if activation:
        outputs.append(helper.make_tensor_value_info("activation", kind, ["n", len(weights), 4, 4]))
    if features:
        nodes.append(helper.make_node("ReduceMean", [crops], ["features"], axes=[2, 3], keepdims=0))
        outputs.append(helper.make_tensor_value_info("features", kind, ["n", 3]))
    bias = np.full(len(weights), TINY_BIAS, np.float32)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(crops, kind, ["n", 3, size, size])],
        outputs,
        [
            onnx.numpy_helper.from_array(weights[:, :, None, None], "weights"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


BundleMaker = Callable[..., Bundle]


@pytest.fixture(scope="session")
def make_bundle() -> BundleMaker:
    """Makes tiny bundles that name a crop by its mean colour; a red one is a neutrophil, see the weights."""

    def make(
        *,
        classes: tuple[str, ...] = tuple(TINY_WEIGHTS),
        framing: Framing | None = None,
        judgement: Judgement | None = None,
        graph: bytes | None = None,
        familiarity: bytes | None = None,
        name: str = "tiny",
    ) -> Bundle:
        framing = framing or Framing(size=32, whole_image=True, white_balance=False)
        if graph is None:
            weights = [TINY_WEIGHTS[key] for key in classes]
            graph = tiny_graph(framing.size, weights, features=familiarity is not None)
        card = Card(
            name=name,
            leukolens="0.1.0",
            network="tiny",
            parameters=4 * len(classes),
            recipe="none",
            recipe_sha256="0" * 64,
            seed=0,
            classes=list(classes),
            framing=framing,
            judgement=judgement or Judgement(accept_above=0.8, accepted_accuracy=0.95, chosen_on="made up"),
            learned_from=[],
        )
        return unpack(pack(card, graph, familiarity=familiarity), name)

    return make


@pytest.fixture(scope="session")
def graph_maker() -> Callable[..., bytes]:
    """`tiny_graph`, for tests that want a broken one."""
    return tiny_graph


@pytest.fixture(scope="session")
def shipped_bundle() -> Bundle:
    """The bundle that ships with the package; the test is skipped where there is none yet."""
    path = REPOSITORY / "src" / "leukolens" / "bundles" / "default.leukolens"
    if not path.is_file():
        pytest.skip("no bundle ships with this checkout yet")
    return unpack(path.read_bytes(), str(path))


@pytest.fixture(scope="session")
def kind() -> str:
    """Which database the tests of the server run on; one that is to run on both says so by its parameters."""
    return KIND


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a running server without a database's name, run by somebody without rights."""
    programs = shutil.which("initdb"), shutil.which("postgres")
    if None in programs:
        asked_for = os.environ.get("CI") or KIND == "postgresql"
        (pytest.fail if asked_for else pytest.skip)("PostgreSQL's initdb and postgres are not on the PATH")
    initdb, postgres = programs
    folder = Path(tempfile.mkdtemp(prefix="leukolens-postgresql-"))
    data = folder / "data"
    as_whom: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        as_whom["user"] = "nobody"
    try:
        subprocess.run(
            [
                str(initdb),
                "-D",
                data,
                "-U",
                "tests",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            check=True,
            **as_whom,
        )
        server = subprocess.Popen(
            [str(postgres), "-D", data, "-k", folder, "-h", "", "-F", "-c", "max_connections=40"], **as_whom
        )
        try:
            url = "postgresql+psycopg://tests@/{}?host=" + str(folder)
            _wait_for(url.format("postgres"), server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # at once, whoever is still connected
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url)
    for _ in range(300):
        assert server.poll() is None, "PostgreSQL ended"
        try:
            engine.connect().close()
        except OperationalError:
            time.sleep(0.1)
        else:
            engine.dispose()
            return
    raise AssertionError("PostgreSQL does not answer")


@pytest.fixture(scope="session")
def new_url(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str, str | None], str]:
    """URL of a new database of a kind: empty, or a copy of the one at another URL, which nobody is connected to."""

    def make(kind: str, original: str | None = None) -> str:
        name = f"d{uuid.uuid4().hex}"
        if kind == "sqlite":
            path = tmp_path_factory.mktemp("sqlite") / f"{name}.sqlite"
            if original:
                shutil.copy(str(make_url(original).database), path)
            return f"sqlite:///{path}"
        server = request.getfixturevalue("postgresql")
        engine = create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            template = f"TEMPLATE {make_url(original).database}" if original else ""
            connection.execute(text(f"CREATE DATABASE {name} {template}"))
        engine.dispose()
        return str(server.format(name))

    return make


@pytest.fixture
def own_url(new_url: Callable[[str, str | None], str]) -> Iterator[Callable[[str, str | None], str]]:
    """The same for one test: PostgreSQL forgets the database when the test has ended."""
    made: list[str] = []

    def make(kind: str, original: str | None = None) -> str:
        made.append(new_url(kind, original))
        return made[-1]

    yield make
    for url in made:
        if not url.startswith("sqlite"):
            _drop(url)


def _drop(url: str) -> None:
    """Forgets a database of PostgreSQL's, whoever is still connected."""
    engine = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(scope="session")
def children_of() -> Callable[[int, str], list[int]]:
    """Ids of the processes that one has begun and in whose command something stands."""

    def found(parent: int, command: str) -> list[int]:
        # -ww: a command that runs on past the width that ps takes for a terminal's is cut off without it
        listed = ["ps", "-ww", "-A", "-o", "pid=,ppid=,args="]
        told = subprocess.run(listed, capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in told.stdout.splitlines()]
        return [int(row[0]) for row in rows if row[1] == str(parent) and command in row[2]]

    return found


@pytest.fixture(scope="session")
def workers_of(children_of: Callable[[int, str], list[int]]) -> Callable[[int], list[int]]:
    """Ids of the worker processes that a process has begun to read images."""
    return lambda parent: children_of(parent, "leukolens.reading.worker")


@pytest.fixture(scope="session")
def gone() -> Callable[[list[int]], bool]:
    """Whether processes all end within half a minute."""

    def waited(pids: list[int]) -> bool:
        for _ in range(300):
            told = subprocess.run(
                ["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True
            )
            alive = {int(row.split()[0]) for row in told.stdout.splitlines() if "Z" not in row.split()[1]}
            if alive.isdisjoint(pids):
                return True
            time.sleep(0.1)
        return False

    return waited
