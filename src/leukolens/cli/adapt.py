"""`leukolens adapt`: a laboratory's own bundle, from a folder of its cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from leukolens.adaptation.adapt import Adaptation
    from leukolens.adaptation.blind import Blind
    from leukolens.adaptation.comparison import Change, Comparison
    from leukolens.adaptation.local import Framed
    from leukolens.evaluation.measures import Measure

SHIPPED = "default"


def adapt(
    bundle: Annotated[
        Path,
        typer.Argument(metavar="BUNDLE", help="The bundle to start from; `default`: the one that ships."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The new bundle's file.")],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="The laboratory's cells: a folder of class folders."),
    ] = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of FOLDER: cells without labels; the network's normalisation takes their statistics.",
        ),
    ] = None,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune",
            help="Let all layers learn, not the last alone; takes minutes and the `train` extra.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides every random draw.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Makes a bundle a laboratory's own, and says whether that is better, class by class.

    Before and after are judged on cells that what answers had not learned from. A bundle that would be worse
    is not written. Needs no graphics card and, without --fine-tune, no extra.
    """
    from leukolens.adaptation.adapt import adapt as make_own
    from leukolens.adaptation.adapt import adapt_unlabelled
    from leukolens.datasets.folder import Folder
    from leukolens.reading.choice import REFERENCE
    from leukolens.reading.reader import Reader

    if (folder is None) == (unlabelled is None):
        raise typer.BadParameter("name either FOLDER or --unlabelled DIR, one of them")
    if fine_tune and folder is None:
        raise typer.BadParameter("--fine-tune learns from labels: name FOLDER")
    _refuse_same(bundle, out)
    opened = Folder(folder) if folder else None
    shipped = bundle == Path(SHIPPED) and not bundle.exists()
    reader = Reader(None if shipped else bundle, engine=REFERENCE)
    if opened and fine_tune:
        from leukolens.cli.adapt_progress import fine_tuning

        with fine_tuning(reader) as teacher:
            found = make_own(reader, opened, out, teacher=teacher, seed=seed, watch=_watch)
    elif opened:
        found = make_own(reader, opened, out, seed=seed, watch=_watch)
    else:
        found = adapt_unlabelled(reader, unlabelled or Path(), out, watch=_watch)
    if json:
        from json import dumps

        from leukolens.adaptation.document import document

        typer.echo(dumps(document(found, out), ensure_ascii=False, allow_nan=False))
    else:
        _show(found, out)


def _refuse_same(bundle: Path, out: Path) -> None:
    from leukolens.errors import BundleError

    if out.is_dir():
        raise BundleError(f"{out} is a folder", "Name a file for the new bundle with --out")
    if out.exists() and bundle.exists() and out.samefile(bundle):
        raise BundleError(f"{out} is the bundle to start from", "Name another file with --out")


def _watch(framed: Iterator[Framed], total: int) -> Iterable[Framed]:
    from leukolens.cli.progress import watched

    return watched(framed, total)


def _show(found: Adaptation, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from leukolens.taxonomy import cell_class

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    if found.comparison:
        table = Table(
            title=f"{found.parent.card.name} on cells that were not learned from", title_justify="left"
        )
        for heading in ("class", "cells", "groups", "before", "after", "difference"):
            table.add_column(heading, justify="left" if heading == "class" else "right")
        for line in found.comparison.classes:
            table.add_row(
                cell_class(line.key).name, str(line.cells), str(line.groups), *_columns(line.recall)
            )
        cells = str(sum(line.cells for line in found.comparison.classes))
        table.add_section()
        table.add_row("All", cells, str(found.groups), *_columns(found.comparison.accuracy))
        table.add_row("Balanced", cells, str(found.groups), *_columns(found.comparison.balanced))
        console.print(table)
    if found.blind:
        console.print(_named_blind(found.blind))
    if found.kept:
        console.print(
            f"Of the cells that the bundle carries along, {_percent(found.kept[0])} were named rightly before, "
            f"{_percent(found.kept[1])} after (balanced)."
        )
    for failure in found.failed:
        console.print(f"not used: {failure}", markup=False)
    if found.lost:
        count = "1 image shows" if found.lost == 1 else f"{found.lost} images show"
        console.print(f"{count} no white cell; nothing was learned from that.")
    console.print(_sentence(found))
    console.print(str(out), soft_wrap=True, markup=False)


def _sentence(found: Adaptation) -> str:
    if found.verdict == "not judged":
        return f"{_without_labels(found)} Whether that is better, cells without labels cannot say."
    if found.verdict == "too few to tell" or found.decides is None:
        return f"Too few to tell whether that is better: {found.reason}."
    points = _points(found.decides)
    if found.verdict == "better":
        return f"Better: {points}."
    return f"No worse, and not surely better: {points}."


def _named_blind(blind: Blind) -> str:
    balanced = blind.comparison.balanced
    told = (
        f"Of {blind.cells} cells that were named while no answer was shown: {_percent(balanced.before.value)} before, "
        f"{_percent(balanced.after.value)} after (balanced)"
    )
    return (
        f"{told}; the verdict rests on them."
        if blind.reason is None
        else f"{told}; too few for the verdict to rest on ({blind.reason})."
    )


def _points(comparison: Comparison) -> str:
    difference = comparison.balanced.difference
    interval = difference.interval
    limits = f" (95 %: {100 * interval.low:+.1f} to {100 * interval.high:+.1f})" if interval else ""
    return f"{100 * difference.value:+.1f} points of balanced accuracy{limits}"


def _without_labels(found: Adaptation) -> str:
    made = found.bundle.card.adapted
    if made and made.method == "normalisation":
        return f"The statistics of the network's normalisation were taken anew from {found.unlabelled} cells."
    return (
        "The bundle does not say what its normalisation was: statistics of the last features alone were matched, "
        f"of {found.unlabelled} cells."
    )


def _columns(change: Change) -> tuple[str, str, str]:
    interval = change.difference.interval
    difference = f"{100 * change.difference.value:+.1f}"
    if interval:
        difference = f"{difference} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
    return _text(change.before), _text(change.after), difference


def _text(measure: Measure) -> str:
    interval = measure.interval
    text = _percent(measure.value)
    return f"{text} ({100 * interval.low:.1f} to {100 * interval.high:.1f})" if interval else text


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
