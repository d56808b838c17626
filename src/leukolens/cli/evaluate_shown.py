"""What `leukolens evaluate` prints of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leukolens.evaluation.evaluate import Evaluation
    from leukolens.evaluation.measures import Measure


def show(evaluation: Evaluation, out: Path) -> None:
    """Prints the figures, class by class, and where the page lies."""
    from rich.console import Console
    from rich.table import Table

    from leukolens.taxonomy import cell_class

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    figures = Table(
        title=f"{evaluation.card.name} on {evaluation.dataset} {evaluation.split}", title_justify="left"
    )
    for heading in ("", "images", "photographs", "accuracy", "balanced accuracy", "photograph accuracy"):
        figures.add_column(heading, justify="left" if not heading else "right")
    rows = [(variant.name, variant.headline) for variant in evaluation.variants] or [
        ("all", evaluation.headline)
    ]
    if evaluation.unrestricted:
        rows.append((f"all, {len(evaluation.card.classes)} classes open", evaluation.unrestricted))
    for name, line in rows:
        figures.add_row(
            name,
            str(line.images),
            str(line.groups),
            text_of(line.accuracy),
            text_of(line.balanced_accuracy),
            text_of(line.photograph_accuracy),
        )
    console.print(figures)
    classes = Table()
    for heading in ("class", "images", "photographs", "precision", "recall", "F1"):
        classes.add_column(heading, justify="left" if heading == "class" else "right")
    for measures in evaluation.classes:
        shares = [text_of(measure) for measure in (measures.precision, measures.recall, measures.f1)]
        classes.add_row(cell_class(measures.key).name, str(measures.images), str(measures.groups), *shares)
    console.print(classes)
    if evaluation.unrestricted:
        console.print(
            f"The bundle's probabilities were restricted to {len(evaluation.asked)} classes and renormalised."
        )
    if evaluation.learned_from:
        console.print("The bundle learned from these very images.")
    if evaluation.looks:
        console.print(
            f"Look {evaluation.looks.all} at held-out data, {evaluation.looks.here} of them at this set."
        )
    console.print(f"{out / 'evaluation.html'}", soft_wrap=True, markup=False)


def text_of(measure: Measure) -> str:
    """A share with its interval."""
    if measure.value != measure.value:
        return "–"
    value = f"{100 * measure.value:.1f} %"
    interval = measure.interval
    return f"{value} ({100 * interval.low:.1f} to {100 * interval.high:.1f})" if interval else value
