"""A run's curves as a picture, and the page that shows them."""

from __future__ import annotations

import base64
import html
from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from leukolens.training.checkpoint import write_atomically
from leukolens.training.run import Epoch, Run, choose

TRAIN, HELD_OUT = "#4c566a", "#d55e00"

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}}
img{{width:100%}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}
td,th{{padding:.2rem .9rem .2rem 0;text-align:right;border-bottom:1px solid #e4e7eb}}
tr.best td{{font-weight:600;background:#fff6ec}}pre{{background:#f6f7f9;padding:1rem;overflow:auto}}</style>
<h1>{title}</h1><p>Best epoch {best} of {done}, by validation loss, then accuracy.</p>
<img alt="Loss and accuracy by epoch" src="data:image/png;base64,{picture}">
<table><tr>{head}</tr>{rows}</table><h2>Recipe</h2><pre>{recipe}</pre></html>
"""


def draw(epochs: list[Epoch]) -> bytes:
    """Loss and accuracy by epoch, the chosen one marked; PNG bytes."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    at = [epoch.epoch for epoch in epochs]
    panels = (
        ("Loss, nats", [e.train_loss for e in epochs], [e.validation_loss for e in epochs]),
        ("Accuracy", [e.train_accuracy for e in epochs], [e.validation_accuracy for e in epochs]),
    )
    for axes, (title, train, held_out) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(at, train, color=TRAIN, marker=".", label="training, augmented")
        known = [(x, y) for x, y in zip(at, held_out, strict=True) if y is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=HELD_OUT, marker=".", label="held-out photographs")
        axes.axvline(choose(epochs), color="#9aa5b1", linewidth=1, linestyle=":")
        axes.set(title=title, xlabel="Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def write(run: Run, epochs: list[Epoch]) -> None:
    """Writes ``curves.png`` and ``report.html`` into the run's folder."""
    picture = draw(epochs)
    write_atomically(run.folder / "curves.png", picture)
    recipe, best = run.recipe(), choose(epochs)
    head = "".join(f"<th>{name.replace('_', ' ')}" for name in Epoch.__slots__)
    rows = "".join(
        f"<tr{' class=best' if epoch.epoch == best else ''}>"
        + "".join(f"<td>{_cell(getattr(epoch, name))}" for name in Epoch.__slots__)
        for epoch in epochs
    )
    page = PAGE.format(
        title=html.escape(f"{recipe.name}, seed {recipe.seed}"),
        best=best,
        done=len(epochs),
        picture=base64.b64encode(picture).decode(),
        head=head,
        rows=rows,
        recipe=html.escape(recipe.model_dump_json(indent=2)),
    )
    write_atomically(run.folder / "report.html", page.encode())


def _cell(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4g}"
