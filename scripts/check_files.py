"""Fails on files that must not be committed: too large, a machine's own path inside, or a real smear image.

Run by pre-commit with the staged files; by the tests with none, which means all that git knows or would add.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from leukolens.datasets.catalogue import NAMES
from leukolens.datasets.manifest import manifest

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 12 * 2**20
IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
MACHINE_PATH = re.compile(r"(?<![\w.}~])/(?:home|root|Users|work)/[\w.-]")


def project_files() -> list[Path]:
    """Every file that is committed or would be by `git add .`; not what .gitignore names."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


@cache
def real_images() -> frozenset[str]:
    """The sha256 of every image in the manifests of the known data sets."""
    return frozenset(
        entry.sha256
        for name in NAMES
        for entry in manifest(name).values()
        if Path(entry.name).suffix.lower() in IMAGES
    )


def problems(path: Path) -> Iterator[str]:
    """What is wrong with this file, a phrase each."""
    content = path.read_bytes()
    if len(content) > LARGEST:
        yield f"is {len(content) / 2**20:.1f} MiB, over {LARGEST // 2**20}"
    if path.suffix.lower() in IMAGES and hashlib.sha256(content).hexdigest() in real_images():
        yield "is an image of a data set; tests draw their own"
    if b"\0" not in content[:8192]:
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
            if found := MACHINE_PATH.search(line):
                yield f"line {number} holds a path of one machine: {found.group()}..."


def main(paths: Iterable[Path]) -> int:
    """Prints the problems; 1 where there is one."""
    found = [f"{path}: {problem}" for path in paths for problem in problems(path)]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]] or project_files()))
