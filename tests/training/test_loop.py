"""The loop: a run that was stopped or killed ends with the weights of one that never was, to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from leukolens.errors import TrainingError
from leukolens.training import checkpoint, session
from leukolens.training.augment import centre
from leukolens.training.crops import framed, samples_of
from leukolens.training.export import trained
from leukolens.training.loop import Trainer, Watch, build
from leukolens.training.run import Run

# Dies by SIGKILL at the nth of its moments (a step, or a file before or after it takes its name), is
# started again, and so on; forks, because starting Python and torch anew takes longer than training.
MORTAL = """
import os, random, signal, sys
from pathlib import Path
import torch
from leukolens.training import session
from leukolens.training.loop import Watch
from leukolens.training.recipe import Recipe

torch.set_num_threads(1)
recipe, root, out, cache, seed = sys.argv[1:]
recipe = Recipe.model_validate_json(Path(recipe).read_text())
place = session.Place(Path(root), Path(out), Path(cache), accelerator="cpu")

def live(moments):
    left = moments
    def moment(*_):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
        def around(*given, real=getattr(owner, name), **more):
            moment()
            answer = real(*given, **more)
            moment()
            return answer
        setattr(owner, name, around)
    session.train(recipe, place, resume=True, watch=Watch(step=moment))

draw, deaths = random.Random(int(seed)), 0
for life in range(40):
    moments = draw.randint(10, 75)
    child = os.fork()
    if child == 0:
        live(moments)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        deaths += 1
    else:
        print(deaths, os.WEXITSTATUS(status))
        break
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Any, crop_cache: Path) -> Path:
    """A run that was never stopped."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    session.train(tiny_recipe(), session.Place(out.parent, out, crop_cache, accelerator="cpu"))
    return out


def state(folder: Path, epoch: int = 3) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"epoch-{epoch:03d}.safetensors")


def measured(folder: Path) -> list[dict[str, Any]]:
    """The metrics without the wall time."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def assert_same_run(folder: Path, whole: Path) -> None:
    own, other = state(folder), state(whole)
    assert own.keys() == other.keys()
    assert [name for name in own if not torch.equal(own[name], other[name])] == []
    assert (folder / "checkpoints/epoch-003.safetensors").read_bytes() == (
        whole / "checkpoints/epoch-003.safetensors"
    ).read_bytes()
    assert measured(folder) == measured(whole)
    assert files(folder) == files(whole)


def test_the_same_recipe_gives_the_same_weights_twice(
    whole: Path, tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    session.train(tiny_recipe(), session.Place(tmp_path, tmp_path / "again", crop_cache, accelerator="cpu"))
    assert_same_run(tmp_path / "again", whole)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks of itself")
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_ends_with_the_same_weights_to_the_bit(
    seed: int, whole: Path, tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(tiny_recipe().model_dump_json())
    out = tmp_path / "killed"
    script = subprocess.run(
        [sys.executable, "-c", MORTAL, str(recipe), str(tmp_path), str(out), str(crop_cache), str(seed)],
        capture_output=True, text=True, check=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deaths, status = map(int, script.stdout.split())
    assert status == 0, script.stderr
    assert deaths >= 2
    assert_same_run(out, whole)


@pytest.mark.parametrize("after", [(1,), (2, 1, 1)], ids=["once", "three times"])
def test_a_run_that_was_asked_to_stop_goes_on_where_it_stood(
    after: tuple[int, ...], whole: Path, tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    place = session.Place(tmp_path, tmp_path / "stopped", crop_cache, accelerator="cpu")
    for steps in after:
        left = [steps]

        def stop(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == 0

        with pytest.raises(KeyboardInterrupt):
            session.train(tiny_recipe(), place, resume=True, watch=Watch(stop=stop))
    seen: list[tuple[int, int]] = []
    session.train(tiny_recipe(), place, resume=True, watch=Watch(step=lambda e, s, n: seen.append((e, s))))
    # 3 epochs of 3 steps; no step is done twice.
    assert len(seen) == 9 - sum(after)
    assert_same_run(place.out, whole)


def test_an_epoch_of_one_step_can_be_stopped_too(tiny_recipe: Any, crop_cache: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(schedule={"batch": 18, "epochs": 2})
    place = session.Place(tmp_path, tmp_path / "run", crop_cache, accelerator="cpu")
    with pytest.raises(KeyboardInterrupt):
        session.train(recipe, place, watch=Watch(stop=lambda: True))
    assert len(Run(place.out).epochs()) == 1
    session.train(recipe, place, resume=True)
    assert len(Run(place.out).epochs()) == 2


def test_a_kill_between_the_last_checkpoint_and_its_metrics_is_made_good(
    whole: Path, tiny_recipe: Any, crop_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = session.Place(tmp_path, tmp_path / "run", crop_cache, accelerator="cpu")
    real = Run.write_epochs

    def dies(self: Run, epochs: list[Any]) -> None:
        if len(epochs) == 3:
            raise SystemExit
        real(self, epochs)

    monkeypatch.setattr(Run, "write_epochs", dies)
    with pytest.raises(SystemExit):
        session.train(tiny_recipe(), place)
    monkeypatch.undo()
    assert len(Run(place.out).epochs()) == 2
    session.train(tiny_recipe(), place, resume=True)
    assert_same_run(place.out, whole)


def test_a_loss_that_is_no_number_says_so(tiny_recipe: Any, crop_cache: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(optimiser={"rate": 1e30, "warmup": 0.0}, schedule={"epochs": 2})
    place = session.Place(tmp_path, tmp_path / "run", crop_cache, accelerator="cpu")
    with pytest.raises(TrainingError, match=r"loss of epoch \d is no number") as caught:
        session.train(recipe, place)
    assert "rate" in caught.value.remedy


def test_a_full_disk_says_so_and_the_run_goes_on_once_there_is_room(
    whole: Path, tiny_recipe: Any, crop_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = session.Place(tmp_path, tmp_path / "run", crop_cache, accelerator="cpu")
    real = os.fsync

    def full(number: int) -> None:
        if any((place.out / "checkpoints").glob("epoch-001.json")):
            raise OSError(28, os.strerror(28))
        real(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        session.train(tiny_recipe(), place)
    monkeypatch.undo()
    session.train(tiny_recipe(), place, resume=True)
    assert_same_run(place.out, whole)


@pytest.mark.parametrize(("keep", "kept"), [(1, 1), (2, 2), ("all", 4)])
def test_the_last_checkpoints_stay_and_the_best(
    keep: Any, kept: int, tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(checkpoints={"keep": keep}, schedule={"epochs": 4, "batch": 18})
    out = tmp_path / "run"
    session.train(recipe, session.Place(tmp_path, out, crop_cache, accelerator="cpu"))
    best = json.loads((out / "best.json").read_text())["epoch"]
    numbers = {int(path.stem.split("-")[1]) for path in (out / "checkpoints").glob("epoch-*.json")}
    assert numbers == {*range(5 - kept, 5), best}
    assert {path.stem for path in (out / "checkpoints").glob("*.safetensors")} == {
        f"epoch-{n:03d}" for n in numbers
    }


def test_what_the_last_line_says_of_the_held_out_crops_can_be_computed_again(
    whole: Path, tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    crops = framed(samples_of(recipe, tmp_path), recipe.classes, recipe.framing, margin=1.5, cache=crop_cache)
    _, held_out = session.split(crops, recipe)
    truth = torch.from_numpy(held_out.truth)
    with torch.inference_mode():
        logits = trained(Run(whole), 3)(centre(torch.from_numpy(held_out.pixels), 32, 1.5))
    line = measured(whole)[2]
    assert line["validation_loss"] == pytest.approx(float(F.cross_entropy(logits, truth)), abs=1e-4)
    right = logits.argmax(1) == truth
    assert line["validation_accuracy"] == pytest.approx(float(right.double().mean()))
    recalls = [float(right[truth == index].double().mean()) for index in (0, 1)]
    assert line["validation_balanced"] == pytest.approx(sum(recalls) / 2)
    torch.testing.assert_close(Run(whole).held_out(3), logits, rtol=1e-4, atol=1e-4)


def test_epochs_that_are_not_judged_cost_no_answers(
    tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(schedule={"epochs": 3}, validation={"every": 2})
    session.train(recipe, session.Place(tmp_path, tmp_path / "run", crop_cache, accelerator="cpu"))
    run = Run(tmp_path / "run")
    assert [epoch.validation_loss is None for epoch in run.epochs()] == [True, False, False]
    assert {path.stem for path in (run.folder / "held_out").iterdir()} == {"epoch-002", "epoch-003"}
    assert run.best() in {2, 3}


def test_the_first_weights_are_drawn_from_the_seed(tiny_recipe: Any) -> None:
    first, same, other = (build(tiny_recipe(seed=seed)).conv.weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_judging_leaves_the_weights_in_training_alone(
    tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe()
    crops = framed(samples_of(recipe, tmp_path), recipe.classes, recipe.framing, margin=1.5, cache=crop_cache)
    trainer = Trainer(recipe, Run(tmp_path), *session.split(crops, recipe), accelerator="cpu")
    assert trainer.average is not None
    for value in trainer.average.tensors.values():
        value.zero_()
    before = {name: value.clone() for name, value in trainer.plain.state_dict().items()}
    logits = trainer.predict(trainer.held_out, 32)
    assert not logits.any()
    after = trainer.plain.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_damaged_checkpoint_is_named_on_resumption(
    tiny_recipe: Any, crop_cache: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(schedule={"epochs": 1, "batch": 18})
    place = session.Place(tmp_path, tmp_path / "run", crop_cache, accelerator="cpu")
    session.train(recipe, place)
    path = checkpoint.complete(Run(place.out).checkpoints)[-1].with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"epoch-001\.safetensors is damaged"):
        session.train(recipe, place, resume=True)
