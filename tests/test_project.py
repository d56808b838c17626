"""The promises that the project's own files make: to a user, to a contributor, and to each other."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

import leukolens

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
ORACLES = {"scipy", "scikit-image", "scikit-learn"}
CHECK = runpy.run_path(str(ROOT / "scripts" / "check_files.py"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def third_party_imports() -> dict[str, list[str]]:
    """Top-level module to the package's files that import it, anywhere in them."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"leukolens"}:
                found.setdefault(name, []).append(file.relative_to(ROOT).as_posix())
    return found


def package(requirement: str) -> str:
    """The normalised name in a requirement (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def requirements() -> list[str]:
    """Every requirement of the project and its extras, but for the extras that take in another."""
    extras = chain.from_iterable(PROJECT["optional-dependencies"].values())
    return [line for line in [*PROJECT["dependencies"], *extras] if not line.startswith("leukolens[")]


def pins() -> dict[str, str]:
    lines = (line.strip() for line in text("constraints.txt").splitlines())
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {package(name): version for name, version in pairs}


class TestDependencies:
    def test_the_base_install_has_no_torch_scipy_or_scikit_image(self) -> None:
        base = {package(requirement) for requirement in PROJECT["dependencies"]}
        assert base == {
            "numpy",
            "pillow",
            "opencv-python-headless",
            "onnxruntime",
            "typer",
            "rich",
            "pydantic",
        }

    def test_every_floor_has_its_reason_beside_it(self) -> None:
        lines = text("pyproject.toml").splitlines()
        floors = [line for line in lines if re.match(r'\s+"[\w.-]+(\[\w+\])?[><=~!]', line)]
        assert len(floors) == len(requirements())
        assert [line for line in floors if not re.search(r"# .{6,}", line)] == []

    def test_every_requirement_has_a_floor_and_a_pin_above_it(self) -> None:
        def release(version: str) -> tuple[int, ...]:
            return tuple(int(part) for part in re.findall(r"\d+", version))

        pinned = pins()
        for requirement in requirements():
            floor = re.search(r">=([\d.]+)", requirement)
            assert floor, f"{requirement} has no floor"
            assert release(pinned[package(requirement)]) >= release(floor.group(1)), requirement

    def test_every_import_of_the_package_is_declared(self) -> None:
        declared = {package(requirement) for requirement in requirements()} - ORACLES
        provided = {
            module
            for module, names in packages_distributions().items()
            if declared & {package(name) for name in names}
        }
        foreign = third_party_imports()
        assert {"numpy", "torch"} <= set(foreign)
        assert {module: files for module, files in foreign.items() if module not in provided} == {}

    def test_pins_fit_every_build_of_a_version(self) -> None:
        assert [name for name, version in pins().items() if "+" in version] == []

    def test_the_known_bad_releases_of_fabric_are_excluded(self) -> None:
        (fabric,) = (r for r in PROJECT["optional-dependencies"]["train"] if r.startswith("lightning-fabric"))
        assert "!=2.6.2" in fabric
        assert "!=2.6.3" in fabric


class TestVersion:
    def test_it_is_the_same_everywhere(self) -> None:
        assert PROJECT["version"] == leukolens.__version__
        assert f"version: {leukolens.__version__}\n" in text("CITATION.cff")

    def test_the_changelog_has_it(self) -> None:
        assert re.search(rf"^## \[{re.escape(leukolens.__version__)}\]", text("CHANGELOG.md"), re.MULTILINE)


class TestFiles:
    def test_none_is_large_real_or_tied_to_one_machine(self) -> None:
        if not (ROOT / ".git").exists():
            pytest.skip("not a git checkout, so nothing says which files belong to the project")
        files = CHECK["project_files"]()
        assert ROOT / "README.md" in files
        assert {path: found for path in files if (found := list(CHECK["problems"](path)))} == {}

    @pytest.mark.parametrize("folder", ["home/ada", "root/.cache", "Users/ada", "work/main"])
    def test_a_path_of_one_machine_is_noticed(self, tmp_path: Path, folder: str) -> None:
        file = tmp_path / "notes.md"
        file.write_text(f"fine\nsee /{folder}/x.png\n", encoding="utf-8")
        (problem,) = CHECK["problems"](file)
        assert problem.startswith("line 2 holds a path of one machine")

    def test_addresses_and_relative_paths_are_no_machine_paths(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.md"
        home, root, work = "home", "root", "work"  # written out they would be what is looked for
        harmless = f"https://example.org/{home}/x ../{work}/x docs/{root}/x ~/{work}/x {{base}}/{home}/x\n"
        file.write_text(harmless, encoding="utf-8")
        assert list(CHECK["problems"](file)) == []

    def test_a_large_file_is_noticed(self, tmp_path: Path) -> None:
        file = tmp_path / "weights.bin"
        file.write_bytes(bytes(12 * 2**20))
        assert list(CHECK["problems"](file)) == []
        file.write_bytes(bytes(12 * 2**20 + 1))
        assert list(CHECK["problems"](file)) == ["is 12.0 MiB, over 12"]

    @pytest.mark.data
    def test_a_real_image_is_noticed_under_any_name(self, data_root: Path, tmp_path: Path) -> None:
        original = min((data_root / "tecom-300" / "images").iterdir())
        file = tmp_path / f"innocent{original.suffix}"
        file.write_bytes(original.read_bytes())
        assert list(CHECK["problems"](file)) == ["is an image of a data set; tests draw their own"]

    def test_the_hook_fails_where_there_is_a_problem(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good, bad = tmp_path / "good.md", tmp_path / "bad.md"
        good.write_text("fine\n", encoding="utf-8")
        bad.write_text("/".join(["", "home", "ada", "x"]), encoding="utf-8")
        assert CHECK["main"]([good]) == 0
        assert CHECK["main"]([good, bad]) == 1
        assert capsys.readouterr().err.startswith(f"{bad}: line 1 holds a path")

    def test_bundles_are_never_taken_for_text(self) -> None:
        assert re.search(r"^\*\.leukolens\s+binary$", text(".gitattributes"), re.MULTILINE)


class TestReadme:
    def test_its_make_commands_exist(self) -> None:
        promised = set(re.findall(r"^make ([a-z-]+)", text("README.md"), re.MULTILINE))
        targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
        assert {"demo", "test"} <= promised <= targets

    def test_its_links_lead_somewhere(self) -> None:
        links = re.findall(r"\]\((?!https?:)([^)#]+)", text("README.md"))
        assert links
        assert [link for link in links if not (ROOT / link).exists()] == []

    def test_its_figures_are_there(self) -> None:
        found = re.search(r"<!-- figures -->\n(.*)<!-- /figures -->", text("README.md"), re.DOTALL)
        assert found
        assert "|" in found.group(1), "no measured figure stands between the figures marks"

    def test_it_says_what_it_is_not(self) -> None:
        assert "Not a certified medical device" in text("README.md")
