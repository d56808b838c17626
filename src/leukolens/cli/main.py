"""The command line's frame: which commands there are.

Every command stands in a file of its own, whose heavy imports wait inside its functions, so that
``--help`` is quick and the commands that only read need no torch.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from leukolens import __version__
from leukolens.cli import audit_trail, data, user
from leukolens.cli.adapt import adapt
from leukolens.cli.backup import backup, restore
from leukolens.cli.bench import bench
from leukolens.cli.demo import demo
from leukolens.cli.endings import INTERRUPTED, Commands, complain
from leukolens.cli.evaluate import evaluate
from leukolens.cli.export import export
from leukolens.cli.identify import identify
from leukolens.cli.read import read
from leukolens.cli.retention import retention
from leukolens.cli.serve import serve
from leukolens.cli.train import train

app = typer.Typer(
    name="leukolens",
    cls=Commands,
    help="Identifies white blood cells in microscope images, and says when it is not sure.\n\n"
    "For research and education; not a certified medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help costs a tenth of a second
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"leukolens {__version__}")
        raise typer.Exit


@app.callback()
def _leukolens(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command()(read)
app.command()(identify)
app.command()(train)
app.command()(evaluate)
app.command()(adapt)
app.command()(export)
app.command()(demo)
app.command()(bench)
app.add_typer(data.app, name="data")
app.command()(serve)
app.add_typer(user.app, name="user")
app.command()(backup)
app.command()(restore)
app.command()(retention)
app.add_typer(audit_trail.app, name="audit-trail")


def main() -> None:
    """What the console script runs."""
    # A file name that is no Unicode, or a terminal that knows none, must not end a command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    Commands.owns_process = True
    # Threads that read beside each other wait so long for Python's lock; its 5 ms cost a seventh of the speed.
    sys.setswitchinterval(0.0005)
    # Numpy's products here are small: threads gain them nothing, and beside other work wait for each other for minutes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app(prog_name="leukolens")
    except KeyboardInterrupt:
        complain("Interrupted.")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
