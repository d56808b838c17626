"""A process that reads images for another: ``python -m leukolens.reading.worker``, begun by `processes` alone.

It is first told which engine to use, and given the bundle's bytes; it answers with what became of the engine. From then
on each message is a list of files, answered by a list of readings in their order. It ends when its input does, whatever
has ended who asks.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import BinaryIO


def main() -> None:
    """Answers until the input ends."""
    # Who asks says when to stop; Ctrl-C at the terminal reaches the whole group of processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, answers = sys.stdin.buffer, _answers()
    try:
        _answer(asked, answers)
    except BrokenPipeError:  # nobody is there to hear it
        os._exit(0)


def _answer(asked: BinaryIO, answers: BinaryIO) -> None:
    import cv2

    import leukolens
    from leukolens.bundle import unpack
    from leukolens.errors import LeukolensError
    from leukolens.reading.messages import entry_of, receive, send
    from leukolens.reading.reader import Reader

    cv2.setNumThreads(1)
    engine, content = receive(asked), receive(asked)
    if engine is None or content is None:
        return

    def say(what: object) -> None:
        send(answers, json.dumps(what).encode())

    try:
        reader = Reader(unpack(content, "the bundle"), threads=1, engine=engine.decode())
        say({"note": reader.classifier.choice.note, "package": leukolens.__file__})
        while (portion := receive(asked)) is not None:
            say({"readings": [entry_of(reading) for reading in reader.read_portion(json.loads(portion))]})
    except LeukolensError as error:
        say({"kind": type(error).__name__, "problem": error.problem, "remedy": error.remedy})


def _answers() -> BinaryIO:
    """The stream of answers; whatever else is printed goes the way of errors."""
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept


if __name__ == "__main__":
    main()
