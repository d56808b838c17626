"""`leukolens bench`: how fast it runs here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from leukolens.cli.read import ENGINE_HELP

DRAWN = 60
SECONDS = 40.0


def bench(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Images of one cell each; drawn ones if absent."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A bundle to use instead of the shipped one.")
    ] = None,
    engine: Annotated[str, typer.Option(metavar="NAME", help=ENGINE_HELP)] = "auto",
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0, max=3600, help="About how long to measure.")
    ] = SECONDS,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measures this machine in about a minute: each stage, latency, throughput, memory, start and engines."""
    from leukolens.cli.bench_stages import draw, measured
    from leukolens.cli.paths import find_images
    from leukolens.imaging.decode import SUFFIXES
    from leukolens.reading.processor import processors
    from leukolens.reading.reader import Reader

    reader = Reader(bundle, engine=engine, processes=processors())
    with tempfile.TemporaryDirectory() as folder:
        if paths:
            images = [Path(name) for name in find_images(paths, SUFFIXES, recursive=True).images]
            what = f"{len(images)} images"
        else:
            images, what = draw(Path(folder), DRAWN), f"{DRAWN} drawn cells of 320x240 pixels"
        options = ["--engine", engine, *(["--bundle", str(bundle)] if bundle else [])]
        found = measured(reader, images, what, seconds, options)
        reader.close()
    if json:
        import json as writer

        typer.echo(writer.dumps(found, indent=2))
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    stages = Table("stage", "ms an image", "share", title=f"{found['images']}, {found['engine']}")
    for stage in found["stages"]:
        stages.add_row(stage["stage"], f"{stage['ms']:.2f}", f"{100 * stage['share']:.0f} %")
    console.print(stages)
    engines = Table("engine", "crops a second", "")
    for row in found["engines"]:
        rate = row["crops_a_second"]
        engines.add_row(row["engine"], "" if rate is None else f"{rate:.0f}", row["note"])
    console.print(engines)
    latency, memory = found["latency_ms"], found["peak_megabytes"]
    console.print(
        f"{found['images_a_second']:.0f} images a second on {found['processors']} processors; "
        f"one takes {latency['p50']:.1f} ms, one in a hundred {latency['p99']:.1f} or more\n"
        f"{found['start_to_first_answer_seconds']:.2f} s from the start to the first answer"
        + (f"; {memory:.0f} MB at most" if memory else "")
    )
