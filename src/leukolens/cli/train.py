"""``leukolens train``: a recipe into a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from leukolens.training.recipe import Recipe


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A shipped recipe (default, robust, permissive, original, detector) or a TOML file."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of data sets; else LEUKOLENS_DATA.")
    ] = None,
    sets: Annotated[
        str | None, typer.Option("--sets", help="Only these of the recipe's sets, by commas.")
    ] = None,
    network: Annotated[str | None, typer.Option("--network", help="resnet24, resnet18 or resnet50.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Another seed than the recipe's.")] = None,
    fold: Annotated[str | None, typer.Option("--fold", help="The fold to hold out, or none.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Another number of epochs.")] = None,
    draws: Annotated[int | None, typer.Option("--draws", help="Another number of crops an epoch.")] = None,
    size: Annotated[int | None, typer.Option("--size", help="Another side of the crop, in pixels.")] = None,
    cross_fit: Annotated[
        bool,
        typer.Option(
            "--cross-fit", help="Train every fold, choose by what each held out, then train on all."
        ),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stopped.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the network's step.")] = False,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads; 0 for torch's choice.")] = 0,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder that keeps framed crops for next time.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document when done.")] = False,
) -> None:
    """Train a network; every epoch writes a checkpoint, held-out photographs choose the best."""
    import logging

    from leukolens.cli.training_progress import Progress
    from leukolens.datasets.base import data_root
    from leukolens.errors import RecipeError
    from leukolens.training import protocols, session
    from leukolens.training.finding.recipe import is_detector
    from leukolens.training.recipe import load

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if threads:
        import torch

        torch.set_num_threads(threads)
    if is_detector(recipe):
        given = {"--network": network, "--draws": draws, "--size": size, "--cross-fit": cross_fit or None,
                 "--compile": compiled or None, "--cache": cache}  # fmt: skip
        unfit = [option for option, value in given.items() if value is not None]
        if unfit:
            raise RecipeError(f"a detector's recipe takes no {unfit[0]}", "Leave it out")
        _train_detector(
            recipe, out, data_root(data), sets=sets, seed=seed, fold=fold, epochs=epochs, resume=resume,
            device=device, as_json=as_json,
        )  # fmt: skip
        return
    chosen = load(recipe)
    if sets:
        chosen = session.restricted(chosen, [name.strip() for name in sets.split(",")])
    chosen = _changed(chosen, network=network, seed=seed, epochs=epochs, draws=draws, size=size)
    if fold is not None:
        chosen = protocols.fold_recipe(chosen, _fold(fold))
    place = session.Place(data_root(data), out, cache, device, compiled)
    with Progress(chosen.schedule.epochs) as progress:
        if cross_fit:
            protocols.cross_fit(chosen, place, watch=progress.watch, progress=progress.framing)
        else:
            session.train(
                chosen, place, resume=resume, watch=progress.watch(chosen.name), progress=progress.framing
            )
    _report(out, as_json)


def _fold(text: str) -> int | None:
    from leukolens.errors import RecipeError

    if text != "none" and not text.isdecimal():
        raise RecipeError(f"--fold {text!r} is neither a number nor none", "Use 0 to folds - 1, or none")
    return None if text == "none" else int(text)


def _train_detector(
    name: str,
    out: Path,
    root: Path,
    *,
    sets: str | None,
    seed: int | None,
    fold: str | None,
    epochs: int | None,
    resume: bool,
    device: str,
    as_json: bool,
) -> None:
    import json
    from dataclasses import asdict

    from leukolens.cli.training_progress import Progress
    from leukolens.errors import RecipeError
    from leukolens.training.finding.recipe import load
    from leukolens.training.finding.session import train_detector
    from leukolens.training.recipe import changed

    recipe = load(name)
    if sets:
        wanted = {word.strip() for word in sets.split(",")}
        unknown = wanted - {source.name for source in recipe.data}
        if unknown:
            raise RecipeError(f"the recipe does not learn from {', '.join(sorted(unknown))}", "Name its sets")
        recipe = changed(recipe, data=[s.model_dump() for s in recipe.data if s.name in wanted])
    if seed is not None:
        recipe = changed(recipe, seed=seed)
    if epochs is not None:
        recipe = changed(recipe, schedule={"epochs": epochs})
    if fold is not None:
        recipe = changed(recipe, validation={"fold": _fold(fold)})
    with Progress(recipe.schedule.epochs) as progress:
        rounds = train_detector(
            recipe, root, out, accelerator=device, resume=resume, watch=progress.watch(recipe.name),
            progress=progress.framing,
        )  # fmt: skip
    if as_json:
        epochs_done = [asdict(entry) for entry in rounds]
        typer.echo(
            json.dumps(
                {"schema": "leukolens.train/1", "run": str(out), "best": len(rounds), "epochs": epochs_done}
            )
        )
    else:
        typer.echo(
            f"{len(rounds)} epochs, loss {rounds[-1].loss:.3f}. Next: leukolens export {out} --into BUNDLE"
        )


def _changed(recipe: Recipe, **wanted: int | str | None) -> Recipe:
    from leukolens.training.recipe import changed

    sections = {"network": ("network", "name"), "epochs": ("schedule", "epochs"), "draws": ("schedule", "draws"),
                "size": ("framing", "size")}  # fmt: skip
    for name, value in wanted.items():
        if value is None:
            continue
        if name == "seed":
            recipe = changed(recipe, seed=value)
        else:
            section, field = sections[name]
            more = {"small_epochs": min(recipe.schedule.small_epochs, int(value))} if name == "epochs" else {}
            recipe = changed(recipe, **{section: {field: value, **more}})
    return recipe


def _report(out: Path, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from leukolens.training.run import Run

    run = Run(out)
    epochs, best = run.epochs(), run.best()
    chosen = epochs[best - 1]
    if as_json:
        document = {
            "schema": "leukolens.train/1",
            "run": str(out),
            "best": best,
            "epochs": [asdict(e) for e in epochs],
        }
        typer.echo(json.dumps(document))
        return
    held_out = (
        f", held-out accuracy {chosen.validation_accuracy:.3f}, loss {chosen.validation_loss:.3f}"
        if chosen.validation_accuracy is not None
        else ""
    )
    typer.echo(
        f"Best epoch {best} of {len(epochs)}: training accuracy {chosen.train_accuracy:.3f}{held_out}."
    )
    typer.echo(f"Curves: {out / 'report.html'}. Next: leukolens export {out}")
