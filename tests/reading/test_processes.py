"""Worker processes answer as threads do, lose no image, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolens.bundle import Bundle, pack
from leukolens.datasets.synthetic import DRAWN_CLASSES, draw_single
from leukolens.errors import BundleError, LeukolensError
from leukolens.reading import processes, reader, worker_client
from leukolens.reading.choice import OPENVINO, REFERENCE, WHOLE_NUMBERS
from leukolens.reading.reader import Reader
from leukolens.reading.runtimes import has_openvino

MakeBundle = Callable[..., Bundle]
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and forks are POSIX")
ENGINES = (REFERENCE, WHOLE_NUMBERS, *([OPENVINO] if has_openvino() else []))
NOWHERE = ("no-such-python",)
DEADLY = """
import os, signal, sys
from pathlib import Path
from leukolens.reading import reader, worker
decode = reader.decode
def deadly(path):
    if path.name.startswith("deadly") and not Path({spared!r}).exists():
        Path({killed!r}).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(path)
reader.decode = deadly
worker.main()
"""


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "FILES_EACH", 10)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has workers begin with another program."""
    return lambda program: monkeypatch.setattr(
        worker_client, "COMMAND", (sys.executable, "-P", "-c", program)
    )


@pytest.fixture
def by_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_client, "COMMAND", NOWHERE)


@pytest.fixture
def opened() -> Iterator[Callable[..., Reader]]:
    made: list[Reader] = []

    def make(*given: object, **options: object) -> Reader:
        made.append(Reader(*given, **{"processes": 2, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def coloured(folder: Path, count: int, *names: str) -> list[Path]:
    """So many small images, and others with these names in the middle."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    listed = [f"{number:03d}.png" for number in range(count)]
    listed[count // 2 : count // 2] = names
    for name in listed:
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / name)
    return [folder / name for name in listed]


# The same answers


@pytest.mark.parametrize("engine", ENGINES)
def test_processes_change_no_bit(
    shipped_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Callable[..., Reader],
    engine: str,
) -> None:
    rng = np.random.default_rng(5)
    for number in range(40):
        drawn = draw_single(rng, DRAWN_CLASSES[number % len(DRAWN_CLASSES)])
        Image.fromarray(drawn.rgb).save(tmp_path / f"{number:02d}.jpeg", quality=90)
    paths = sorted(tmp_path.iterdir())
    expected = list(Reader(shipped_bundle, engine=engine).identify(paths))
    assert {reading.status for reading in expected} >= {"ok"}
    monkeypatch.setattr(reader, "decode", None)  # whoever decodes here fails
    reading = opened(shipped_bundle, engine=engine)
    assert list(reading.identify(paths)) == expected
    assert list(reading.identify(map(str, paths))) == expected
    assert reading.note == ""


def test_bad_images_stay_with_themselves_and_names_are_kept(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Reader]
) -> None:
    paths = coloured(tmp_path / "in", 45, "血 é.png", "text.png", "cut.png")
    (tmp_path / "in" / "text.png").write_text("no image")
    (tmp_path / "in" / "cut.png").write_bytes(paths[0].read_bytes()[:60])
    bundle = make_bundle()
    reading = opened(bundle)
    for folder in (tmp_path, tmp_path / "in"):  # processes that began in one are asked from the other
        monkeypatch.chdir(folder)
        named = [Path(os.path.relpath(path)) for path in paths]
        named[7:7] = [Path("none.png"), Path(), Path("odd \udce9.png")]
        expected = list(Reader(bundle).identify(named))
        assert [each.path for each in expected if each.status == "failed"] == [
            *named[7:10],
            *(path for path in named if path.name in {"text.png", "cut.png"}),
        ]
        assert list(reading.identify(named)) == expected
    assert reading.note == ""


def test_pixels_among_files_keep_their_place_and_name(
    make_bundle: MakeBundle, tmp_path: Path, opened: Callable[..., Reader]
) -> None:
    paths, red = coloured(tmp_path, 40), np.full((24, 32, 3), (255, 0, 0), np.uint8)
    sources = [*paths, red, *paths[:3], red[..., 0]]
    bundle = make_bundle()
    expected = list(Reader(bundle).identify(sources))
    assert list(opened(bundle).identify(sources)) == expected
    assert [each.path.name for each in expected[40:]] == [
        "array-40",
        "000.png",
        "001.png",
        "002.png",
        "array-44",
    ]


# When threads read


@pytest.mark.usefixtures("by_threads_alone")
def test_few_files_or_pixels_or_no_processes_are_read_by_threads(
    make_bundle: MakeBundle, tmp_path: Path, opened: Callable[..., Reader]
) -> None:
    paths = coloured(tmp_path, 40)
    pixels = [np.asarray(Image.open(path)) for path in paths]
    for processes_asked, sources in ((2, paths[:19]), (2, pixels), (1, paths), (0, paths)):
        reading = opened(make_bundle(), processes=processes_asked)
        assert [each.status for each in reading.identify(sources)] == ["ok"] * len(sources)
        assert reading.note == ""


@pytest.mark.usefixtures("by_threads_alone")
def test_where_no_process_can_be_started_threads_read_and_one_line_says_so(
    make_bundle: MakeBundle, tmp_path: Path, opened: Callable[..., Reader]
) -> None:
    paths, bundle = coloured(tmp_path, 40), make_bundle()
    reading = opened(bundle)
    assert list(reading.identify(iter(paths))) == list(Reader(bundle).identify(paths))
    assert reading.note.startswith("processes are not used: ")
    assert reading.note.endswith("; threads read instead")


@pytest.mark.parametrize("left", [None, 2**40, 2**30])
def test_processes_need_memory(
    make_bundle: MakeBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Callable[..., Reader],
    left: int | None,
) -> None:
    monkeypatch.setattr(processes, "memory", lambda: left)
    monkeypatch.setattr(worker_client, "COMMAND", NOWHERE)
    reading = opened(make_bundle())
    assert len(list(reading.identify(coloured(tmp_path, 20)))) == 20
    assert (reading.note == "") == (left == 2**30)  # one alone is none


def test_a_device_is_not_shared_out(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = processes.Workers(make_bundle(), "cuda")
    assert not asked.taken(2)
    asked = processes.Workers(make_bundle(), REFERENCE)
    assert asked.taken(2)
    assert not asked.taken(2)
    asked.give_back()
    assert asked.taken(3)
    assert asked.count == 3
    asked.give_back()
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a copy of this process
    assert not asked.taken(2)


def test_two_at_a_time_on_one_reader(
    make_bundle: MakeBundle, tmp_path: Path, opened: Callable[..., Reader]
) -> None:
    paths, bundle = coloured(tmp_path, 60), make_bundle()
    expected = list(Reader(bundle).identify(paths))
    reading = opened(bundle)
    first = reading.identify(paths)
    assert next(first) == expected[0]
    assert list(reading.identify(paths)) == expected
    assert list(first) == expected[1:]


# Ends


@POSIX
def test_an_image_that_kills_costs_itself_alone(
    make_bundle: MakeBundle, tmp_path: Path, begun: Callable[[str], None], opened: Callable[..., Reader]
) -> None:
    paths, bundle = coloured(tmp_path / "in", 50, "deadly-1.png", "deadly-2.png"), make_bundle()
    expected = list(Reader(bundle).identify(paths))
    begun(DEADLY.format(spared="", killed=str(tmp_path / "killed")).replace("Path('').exists()", "False"))
    found = list(opened(bundle).identify(paths))
    assert [each.path for each in found] == paths
    died = [each for each in found if each.path.name.startswith("deadly")]
    assert [each.status for each in died] == ["failed"] * 2
    assert all("ended the process that read it (SIGKILL)" in (each.reason or "") for each in died)
    assert [each for each in found if each not in died] == [
        each for each in expected if not each.path.name.startswith("deadly")
    ]


@POSIX
def test_a_process_that_somebody_ends_loses_nothing(
    make_bundle: MakeBundle, tmp_path: Path, begun: Callable[[str], None], opened: Callable[..., Reader]
) -> None:
    paths, bundle = coloured(tmp_path / "in", 40, "deadly.png"), make_bundle()
    expected = list(Reader(bundle).identify(paths))
    once = str(tmp_path / "once")
    begun(DEADLY.format(spared=once, killed=once))
    assert list(opened(bundle).identify(paths)) == expected
    assert Path(once).exists()


def test_a_bundle_that_cannot_run_is_said_as_threads_say_it(
    make_bundle: MakeBundle, tmp_path: Path, opened: Callable[..., Reader]
) -> None:
    bundle, paths = make_bundle(graph=b"nothing"), coloured(tmp_path, 20)
    with pytest.raises(BundleError) as by_threads:
        list(Reader(bundle).identify(paths))
    with pytest.raises(BundleError) as by_processes:
        list(opened(bundle).identify(paths))
    assert str(by_processes.value) == str(by_threads.value)


@POSIX
def test_closing_ends_the_processes_and_threads_go_on(
    make_bundle: MakeBundle,
    tmp_path: Path,
    opened: Callable[..., Reader],
    workers_of: Callable[[int], list[int]],
    gone: Callable[[list[int]], bool],
) -> None:
    paths, reading = coloured(tmp_path, 40), opened(make_bundle())
    expected = list(reading.identify(paths))
    workers = workers_of(os.getpid())
    assert len(workers) == 2
    reading.close()
    assert gone(workers)
    assert list(reading.identify(paths)) == expected
    assert not workers_of(os.getpid())


@POSIX
def test_closing_ends_what_they_are_at(
    make_bundle: MakeBundle, tmp_path: Path, opened: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = opened(make_bundle())
    some = reading.identify(coloured(tmp_path, 400))
    next(some)
    here: list[object] = []
    monkeypatch.setattr(Reader, "read_portion", lambda *asked: here.append(asked))
    reading.close()
    with pytest.raises(LeukolensError, match="closed while it read"):
        list(some)
    assert not here


@POSIX
def test_a_reader_that_nobody_holds_ends_its_processes(
    make_bundle: MakeBundle,
    tmp_path: Path,
    workers_of: Callable[[int], list[int]],
    gone: Callable[[list[int]], bool],
) -> None:
    reading = Reader(make_bundle(), processes=2)
    some = reading.identify(coloured(tmp_path, 40))
    next(some)
    workers = workers_of(os.getpid())
    assert len(workers) == 2
    some.close()  # type: ignore[attr-defined]
    del some, reading
    assert gone(workers)


PROGRAM = """
import sys
from itertools import cycle
from pathlib import Path
from leukolens import Reader
print("begun", flush=True)
for number, _ in enumerate(Reader(sys.argv[1], processes=2).identify({sources})):
    if number == 400:
        print("reading", flush=True)
"""


def program(tmp_path: Path, make_bundle: MakeBundle, sources: str) -> list[str]:
    bundle = make_bundle()
    (tmp_path / "tiny.leukolens").write_bytes(pack(bundle.card, bundle.classifier))
    (tmp_path / "program.py").write_text(PROGRAM.format(sources=sources))
    coloured(tmp_path / "in", 20)
    return [
        sys.executable,
        str(tmp_path / "program.py"),
        str(tmp_path / "tiny.leukolens"),
        str(tmp_path / "in"),
    ]


def test_a_script_without_a_main_runs_once(tmp_path: Path, make_bundle: MakeBundle) -> None:
    command = program(tmp_path, make_bundle, "sorted(Path(sys.argv[2]).iterdir()) * 25")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("begun\nreading\n", "")


@POSIX
def test_processes_end_when_who_asks_is_killed(
    tmp_path: Path,
    make_bundle: MakeBundle,
    workers_of: Callable[[int], list[int]],
    gone: Callable[[list[int]], bool],
) -> None:
    command = program(tmp_path, make_bundle, "cycle(sorted(Path(sys.argv[2]).iterdir()))")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert [asking.stdout.readline() for _ in range(2)] == ["begun\n", "reading\n"]
        workers = workers_of(asking.pid)
        asking.send_signal(signal.SIGKILL)
    assert len(workers) == 2
    assert gone(workers)
