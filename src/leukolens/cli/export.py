"""``leukolens export``: a run's chosen checkpoint into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Folder that `leukolens train --out` made.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The bundle's file; RUN/model.leukolens if absent.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of data sets; else LEUKOLENS_DATA.")
    ] = None,
    judgement: Annotated[
        Path | None,
        typer.Option(
            "--judgement",
            help="judgement.json of a cross-fit, or a bundle to take it from; else the run's own.",
        ),
    ] = None,
    epoch: Annotated[int | None, typer.Option("--epoch", help="Another epoch than the chosen one.")] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="JSON list of measured figures for the card.")
    ] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder of framed crops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Write a bundle: an ONNX graph that agrees with torch logit by logit, and its card."""
    from leukolens.datasets.base import data_root
    from leukolens.training.card import read_figures
    from leukolens.training.export import export_run

    target = out or run / "model.leukolens"
    bundle = export_run(
        run,
        target,
        root=data_root(data),
        cache=cache,
        judgement=judgement,
        epoch=epoch,
        figures=read_figures(figures) if figures else (),
    )
    if as_json:
        typer.echo(bundle.card.model_dump_json(by_alias=True))
    else:
        size = target.stat().st_size / 2**20
        typer.echo(
            f"{target}: {size:.1f} MiB, sha256 {bundle.sha256}. Next: leukolens evaluate {target} blood-cells"
        )
