"""How every command ends.

0 on success, 1 on a failure explained in one line, 2 on wrong usage, 130 on Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from leukolens.errors import LeukolensError

FAILED = 1
INTERRUPTED = 130
SERVES = frozenset(
    {
        "alembic",
        "argon2",
        "fastapi",
        "jinja2",
        "python_multipart",
        "reportlab",
        "sqlalchemy",
        "starlette",
        "uvicorn",
    }
)
"""What the extra `serve` brings; all else that can be missing is of `train`."""
PIPE_CLOSED = 141  # what a shell says of a program whose reader went away


class Commands(TyperGroup):
    """Ends every command the same way.

    Attributes:
        owns_process: Whether the process is over when the command is, as it is for the console script.
    """

    owns_process: ClassVar[bool] = False

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; what a user can meet becomes one line and an exit code, never a traceback."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except LeukolensError as error:
            complain(str(error))
            raise typer.Exit(FAILED) from error
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("leukolens"):
                raise
            extra = "serve" if (error.name or "").split(".")[0] in SERVES else "train"
            complain(f'{error.name} is not installed. Install it with `pip install "leukolens[{extra}]"`.')
            raise typer.Exit(FAILED) from error
        except (KeyboardInterrupt, typer.Abort) as error:
            if self.owns_process:
                # Threads may still have an image in hand; a second Ctrl-C must not break the way out.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
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
