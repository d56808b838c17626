import json
import subprocess
import sys

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import leukolens.cli.adapt as module
from leukolens.adaptation.normalisation import Norm
from leukolens.adaptation.normalisation import pack as pack_norms
from leukolens.adaptation.replay import Replay
from leukolens.adaptation.replay import pack as pack_replay
from leukolens.bundle import load, save
from leukolens.card import Card, Framing, Judgement
from leukolens.cli.endings import Commands

onnx = pytest.importorskip("onnx")

CLASSES = ["neutrophil", "eosinophil", "basophil"]
SHIFT = np.array([0.35, 0.1, -0.1])

app = typer.Typer(cls=Commands)
app.command()(module.adapt)
app.command(name="nothing")(lambda: None)


def _graph():
    """The mean of red, green and blue are the features; each class likes one of them."""
    helper, kind, tensor = onnx.helper, onnx.TensorProto.FLOAT, onnx.numpy_helper.from_array
    weight = (10 * np.eye(3)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["crops"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["pooled", "same", "zero"], ["normalised"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["normalised"], ["map"]),
        helper.make_node("ReduceMean", ["map"], ["features"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"], transB=1),
        helper.make_node("Conv", ["map", "again"], ["activation"], kernel_shape=[1, 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", kind, ["n", 3]),
        helper.make_tensor_value_info("features", kind, ["n", 3]),
        helper.make_tensor_value_info("activation", kind, ["n", 3, 4, 4]),
    ]
    given = helper.make_tensor_value_info("crops", kind, ["n", 3, 32, 32])
    weights = [tensor(weight, "weight"), tensor(np.zeros(3, np.float32), "bias")]
    weights.append(tensor(weight[:, :, None, None], "again"))
    weights.append(tensor(np.eye(3, dtype=np.float32)[:, :, None, None], "same"))
    weights.append(tensor(np.zeros(3, np.float32), "zero"))
    graph = helper.make_graph(nodes, "colours", [given], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "colours.leukolens"
    card = Card(
        name="colours", leukolens="0.1.0", network="colours", parameters=12, recipe="none",
        recipe_sha256="0" * 64, seed=0, classes=CLASSES, learned_from=[],
        framing=Framing(size=32, whole_image=True, white_balance=False), judgement=Judgement(accept_above=0.5),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3
    features = 0.1 + 0.5 * np.eye(3)[truth] + rng.normal(0, 0.03, (60, 3))
    save(card, _graph(), path, replay=pack_replay(Replay(features.astype(np.float32), truth)))
    return path


def _draw(root, counts, seed=0):
    rng = np.random.default_rng(seed)
    for key, count in counts.items():
        (root / key).mkdir(parents=True)
        for index in range(count):
            feature = 0.1 + 0.35 * np.eye(3)[CLASSES.index(key)] + SHIFT + rng.normal(0, 0.04, 3)
            speckle = rng.normal(0, 0.1, (8, 8, 3))
            value = feature + np.kron(speckle - speckle.mean(axis=(0, 1)), np.ones((4, 4, 1)))
            pixels = np.clip((value + 1) * 127.5, 0, 255).round().astype(np.uint8)
            Image.fromarray(pixels).save(root / key / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return _draw(tmp_path_factory.mktemp("lab") / "lab", dict.fromkeys(CLASSES, 12))


def _run(*arguments):
    return CliRunner().invoke(app, ["adapt", *map(str, arguments)])


def test_a_table_a_sentence_and_the_path_are_printed(bundle, folder, tmp_path):
    out = tmp_path / "own.leukolens"
    result = _run(bundle, folder, "--out", out)
    assert result.exit_code == 0, result.output
    adapted = load(out).card.adapted
    lines = result.output.splitlines()
    (row,) = (line for line in lines if "Basophil" in line)
    after = {figure.name: figure.value for figure in adapted.after}
    assert f"{100 * after['basophil recall']:.1f} %" in row
    assert any(line.startswith("Better: +") for line in lines)
    assert lines[-1] == str(out)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (36, "Of 36 cells that were named while no answer was shown: "),
        (6, "too few for the verdict to rest on (6 cells, and 20 are needed)."),
    ],
)
def test_cells_that_were_named_blind_are_told_of_apart(bundle, tmp_path, count, said):
    root = _draw(tmp_path / "lab", dict.fromkeys(CLASSES, 12))
    names = [path.relative_to(root).as_posix() for path in sorted(root.glob("*/*.png"))]
    rows = [
        f"{name},{name},{name.split('/')[0] if place < count else ''}\n" for place, name in enumerate(names)
    ]
    (root / "groups.csv").write_text("image,group,blind\n" + "".join(rows), "utf-8")
    result = _run(bundle, root, "--out", tmp_path / "own.leukolens")
    assert result.exit_code == 0, result.output
    assert said in result.output
    assert ("the verdict rests on them." in result.output) == (count == 36)


def test_json_is_one_document_that_agrees_with_the_card(bundle, folder, tmp_path):
    out = tmp_path / "own.leukolens"
    result = _run(bundle, folder, "--out", out, "--json")
    document, card = json.loads(result.stdout), load(out).card
    assert document["schema"] == "leukolens.adapt/1"
    assert document["bundle"] == {"name": "colours+lab", "sha256": load(out).sha256, "path": str(out)}
    assert document["parent"]["sha256"] == card.adapted.parent_sha256 == load(bundle).sha256
    assert document["verdict"] == card.adapted.verdict == "better"
    assert document["balanced_accuracy"]["after"]["value"] == card.adapted.after[1].value
    assert [line["class"] for line in document["classes"]] == CLASSES
    assert document["temperature"]["after"] == card.judgement.temperature
    assert 0 <= document["kept"]["after"] <= 1


def test_too_few_are_said_to_be_too_few(bundle, tmp_path):
    root = _draw(tmp_path / "few", {"neutrophil": 3, "basophil": 2})
    (root / "basophil" / "torn.png").write_bytes(b"\x89PNG")
    result = _run(bundle, root, "--out", tmp_path / "own.leukolens")
    assert result.exit_code == 0
    assert "Too few to tell whether that is better: 5 cells, and 20 are needed." in result.output
    assert "not used: basophil/torn.png" in result.output
    assert load(tmp_path / "own.leukolens").card.adapted.verdict == "too few to tell"


def test_without_labels_nothing_is_claimed(bundle, folder, tmp_path):
    out = tmp_path / "own.leukolens"
    result = _run(bundle, "--unlabelled", folder, "--out", out)
    assert result.exit_code == 0, result.output
    said = "The bundle does not say what its normalisation was: statistics of the last features alone were matched, "
    assert f"{said}of 36 cells. Whether that is better, cells without labels cannot say." in result.output
    document = json.loads(_run(bundle, "--unlabelled", folder, "--out", out, "--json").stdout)
    assert (document["verdict"], document["method"], document["classes"]) == ("not judged", "statistics", [])


def test_without_labels_the_normalisation_is_taken_anew_where_the_bundle_knows_it(bundle, folder, tmp_path):
    given, own, out = load(bundle), tmp_path / "normalised.leukolens", tmp_path / "own.leukolens"
    norm = Norm(np.full(3, 0.25, np.float32), np.full(3, 0.2, np.float32))
    save(given.card, given.classifier, own, replay=given.replay, normalisation=pack_norms({"same": norm}))
    result = _run(own, "--unlabelled", folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert (
        "The statistics of the network's normalisation were taken anew from 36 cells. Whether that is better, "
        "cells without labels cannot say." in result.output
    )
    assert json.loads(_run(own, "--unlabelled", folder, "--out", out, "--json").stdout)["method"] == (
        "normalisation"
    )


def test_default_is_the_bundle_that_ships(bundle, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leukolens.reading.reader.load", lambda path: load(path or bundle))
    result = _run("default", folder, "--out", tmp_path / "own.leukolens", "--json")
    assert json.loads(result.stdout)["parent"]["name"] == "colours"


@pytest.mark.parametrize("both", [True, False])
def test_labelled_and_unlabelled_exclude_each_other(bundle, folder, tmp_path, both):
    given = [folder, "--unlabelled", folder] if both else []
    result = _run(bundle, *given, "--out", tmp_path / "own.leukolens")
    assert result.exit_code == 2
    assert "one of them" in result.output


class TestOneLineAndExitCode1:
    def _complaint(self, *arguments):
        result = _run(*arguments)
        assert result.exit_code == 1
        assert result.stdout == ""
        (line,) = result.stderr.strip().splitlines()
        return line

    def test_an_empty_folder(self, bundle, tmp_path):
        (tmp_path / "empty").mkdir()
        line = self._complaint(bundle, tmp_path / "empty", "--out", tmp_path / "x")
        assert "holds no class folder" in line

    def test_a_class_that_the_bundle_does_not_know(self, bundle, tmp_path):
        root = _draw(tmp_path / "lab", {"neutrophil": 2})
        (root / "neutrophil").rename(root / "monocyte")
        line = self._complaint(bundle, root, "--out", tmp_path / "x")
        assert str(root / "monocyte") in line
        assert "neutrophil, eosinophil, basophil" in line

    def test_one_class_alone(self, bundle, tmp_path):
        line = self._complaint(bundle, _draw(tmp_path / "lab", {"neutrophil": 2}), "--out", tmp_path / "x")
        assert "one class alone" in line

    def test_the_bundle_itself_or_a_folder_as_the_new_file(self, bundle, folder, tmp_path):
        assert "is the bundle to start from" in self._complaint(bundle, folder, "--out", bundle)
        assert "is a folder" in self._complaint(bundle, folder, "--out", tmp_path)

    def test_a_bundle_that_is_none(self, folder, tmp_path):
        (tmp_path / "no.leukolens").write_bytes(b"no")
        line = self._complaint(tmp_path / "no.leukolens", folder, "--out", tmp_path / "x")
        assert "no Leukolens bundle" in line

    def test_a_worse_bundle(self, bundle, folder, tmp_path, monkeypatch):
        from leukolens.adaptation.learning import Learned
        from leukolens.adaptation.onnx_head import Head

        bad = Learned(Head(-10 * np.eye(3), np.zeros(3)), 1.0)
        monkeypatch.setattr("leukolens.adaptation.teacher.learn", lambda *arguments: bad)
        line = self._complaint(bundle, folder, "--out", tmp_path / "x")
        assert "would be worse" in line
        assert not (tmp_path / "x").exists()


class TestFineTuning:
    def test_without_torch_one_line_says_what_to_install(self, bundle, folder, tmp_path):
        code = (
            "import sys; sys.modules['torch'] = None; from leukolens.cli.main import main; sys.exit(main())"
        )
        command = [sys.executable, "-c", code, "adapt", str(bundle), str(folder), "--fine-tune", "--out"]
        done = subprocess.run([*command, str(tmp_path / "x")], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert line == 'torch is not installed. Install it with `pip install "leukolens[train]"`.'

    def test_a_bundle_without_its_normalisation_is_refused_in_one_line(self, bundle, folder, tmp_path):
        pytest.importorskip("torch")
        result = _run(bundle, folder, "--fine-tune", "--out", tmp_path / "x")
        assert result.exit_code == 1
        (line,) = result.stderr.strip().splitlines()
        assert "carries no normalisation" in line
        assert "leave --fine-tune out" in line

    def test_it_needs_labels(self, bundle, folder, tmp_path):
        result = _run(bundle, "--unlabelled", folder, "--fine-tune", "--out", tmp_path / "x")
        assert result.exit_code == 2
        assert "--fine-tune learns from labels" in result.output

    def test_the_teacher_is_handed_on_and_its_steps_are_counted(self, bundle, folder, tmp_path, monkeypatch):
        fine_tuning = pytest.importorskip("leukolens.training.fine_tuning")
        from leukolens.adaptation.onnx_head import head_of
        from leukolens.adaptation.teacher import Own, Teacher

        def teacher(parent, *, threads, tick):
            def learn(taught, replay, rng):
                tick(3)
                return Own(head_of(parent.classifier), None, parent.classifier)

            return Teacher("network", 3, learn)

        monkeypatch.setattr(fine_tuning, "network_teacher", teacher)
        result = _run(bundle, folder, "--fine-tune", "--out", tmp_path / "x", "--json")
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        assert (document["method"], document["verdict"], document["strength"]) == (
            "network",
            "no worse",
            None,
        )
        assert document["balanced_accuracy"]["difference"]["value"] == 0


def test_ctrl_c_ends_with_130_and_no_file(bundle, folder, tmp_path, monkeypatch):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("leukolens.bundle.os.fsync", interrupted)
    result = _run(bundle, folder, "--out", tmp_path / "own" / "x.leukolens")
    assert result.exit_code == 130
    assert list((tmp_path / "own").iterdir()) == []


def test_it_needs_no_torch(bundle, folder, tmp_path):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnx', 'scipy', 'sklearn', 'matplotlib'))); "
        "from leukolens.cli.main import main; main()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "adapt",
        str(bundle),
        str(folder),
        "--out",
        str(tmp_path / "x"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "better"
