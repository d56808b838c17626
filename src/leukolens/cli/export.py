"""``leukolens export``: a run's chosen checkpoint into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from leukolens.bundle import Bundle


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
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Where RUN is a detector's: the bundle that gets it, in a copy."),
    ] = None,
    finding: Annotated[
        Path | None,
        typer.Option(
            "--finding", help="finding.json of an exported detector with a fold, where RUN held none out."
        ),
    ] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder of framed crops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Write a bundle: ONNX graphs that agree with torch, and a card.

    A classifier's run makes a new bundle; a detector's run is put into one that there is.
    """
    from leukolens.datasets.base import data_root
    from leukolens.training.card import read_figures
    from leukolens.training.export import export_run

    target = out or run / "model.leukolens"
    if into is not None:
        from leukolens.bundle import load
        from leukolens.training.finding.export import add_detector

        _refuse(
            "--into", {"--judgement": judgement, "--epoch": epoch, "--figures": figures, "--cache": cache}
        )
        bundle = add_detector(run, load(into), target, data_root(data), choice=finding)
        _show(bundle, target, f"leukolens read FIELDS --bundle {target}", as_json)
        return
    _refuse("an export without --into", {"--finding": finding})
    bundle = export_run(
        run,
        target,
        root=data_root(data),
        cache=cache,
        judgement=judgement,
        epoch=epoch,
        figures=read_figures(figures) if figures else (),
    )
    _show(bundle, target, f"leukolens evaluate {target} blood-cells", as_json)


def _refuse(what: str, given: dict[str, Path | int | None]) -> None:
    from leukolens.errors import TrainingError

    for option, value in given.items():
        if value is not None:
            raise TrainingError(f"{what} takes no {option}", "Leave it out")


def _show(bundle: Bundle, target: Path, following: str, as_json: bool) -> None:
    if as_json:
        typer.echo(bundle.card.model_dump_json(by_alias=True))
        return
    size = target.stat().st_size / 2**20
    typer.echo(f"{target}: {size:.1f} MiB, sha256 {bundle.sha256}. Next: {following}")
