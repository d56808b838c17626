"""Runs a module of Python that ends with whoever began it.

``python -m leukolens.server.learning.guarded FOLDER MODULE ...`` works in that folder, and gives way to all else that
the machine does. Its standard input is a pipe on which nothing comes; when it closes, since the server has ended,
however it did, the process ends at once. Nobody would take what it makes.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading

ABANDONED = 70
_LESS_URGENT = 10


def main() -> None:
    """Runs the module that the command line names, with what follows it there as its own command line."""
    folder, module = sys.argv[1:3]
    os.chdir(folder)
    if hasattr(os, "nice"):
        os.nice(_LESS_URGENT)
    # Read at the lowest level: a thread that holds sys.stdin's lock would keep the process from ending by itself.
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(ABANDONED)


if __name__ == "__main__":
    main()
