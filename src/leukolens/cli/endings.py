"""How every command ends.

0 on success, 1 on a failure explained in one line, 2 on wrong usage, 130 on Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from leukolens.errors import LeukolensError

FAILED = 1
INTERRUPTED = 130
PIPE_CLOSED = 141  # what a shell says of a program whose reader went away


class Commands(TyperGroup):
    """Ends every command the same way."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; what a user can meet becomes one line and an exit code, never a traceback."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except LeukolensError as error:
            complain(str(error))
            raise typer.Exit(FAILED) from error
        except (KeyboardInterrupt, typer.Abort) as error:
            complain("Interrupted.")
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            _let_go_of_output()
            raise typer.Exit(PIPE_CLOSED) from error
        return result


def complain(message: str) -> None:
    """One line on standard error, red on a terminal."""
    typer.secho(" ".join(message.split()), fg="red", err=True)


def _let_go_of_output() -> None:
    """Python would flush standard output once more on its way out, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
