"""One worker process, seen from who asks it: begun when it is first asked, begun anew where it has ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO, cast

import leukolens
from leukolens import errors
from leukolens.errors import LeukolensError
from leukolens.reading.messages import receive, send

START_SECONDS = 180.0
# -P: a module that lies in the folder where the program was started is none of ours.
COMMAND = (sys.executable or "", "-P", "-m", "leukolens.reading.worker")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class EndedError(Exception):
    """A worker ended before it answered; says how."""


class UnstartableError(Exception):
    """No worker can be started; says why."""


class Worker:
    """A process that runs `leukolens.reading.worker`.

    One thread asks at a time; `stop` may come from another.

    Args:
        engine: One of `leukolens.reading.choice.ENGINES`.
        bundle: The bundle's bytes.
    """

    def __init__(self, engine: str, bundle: bytes) -> None:
        self._opening, self.said = (engine.encode(), bundle), ""
        self._process: subprocess.Popen[bytes] | None = None
        self._asking, self._beginning = threading.Lock(), threading.Lock()
        self._stopped = False

    def ask(self, paths: list[str]) -> bytes:
        """What the worker answers about files, as `leukolens.reading.worker` says it in JSON.

        Raises:
            EndedError: Where it ends before it has answered.
            UnstartableError: Where it does not run and cannot be begun.
            LeukolensError: What it met that is no image's fault.
        """
        with self._asking:
            process = self._process or self._begun()
            answer = self._exchanged(process, json.dumps(paths).encode())
        if answer.startswith(b'{"kind"'):
            raise _error_of(json.loads(answer))
        return answer

    def stop(self) -> None:
        """Ends it for good, in the middle of an answer too."""
        with self._beginning:
            self._stopped = True
            if self._process is not None:
                self._process.kill()
        with self._asking:
            self._ended()

    def _begun(self) -> subprocess.Popen[bytes]:
        with self._beginning:
            if self._stopped:
                raise EndedError("the reader is closed")
            if getattr(sys, "frozen", False):  # it would begin the program anew
                raise UnstartableError("this program is no Python of its own")
            try:
                process = self._process = subprocess.Popen(
                    COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # decoders print what stands in images
                    env=os.environ | ONE_THREAD,
                )
            except (OSError, ValueError) as error:
                raise UnstartableError(str(error)) from error
        late = threading.Timer(START_SECONDS, process.kill)
        late.daemon = True
        late.start()
        try:
            said = json.loads(self._exchanged(process, *self._opening))
        except (EndedError, ValueError) as error:
            self._ended()
            if self._stopped:
                raise EndedError("the reader is closed") from error
            raise UnstartableError(str(error)) from error
        finally:
            late.cancel()
        if "kind" in said:
            self._ended()
            raise _error_of(said)
        if said.get("package") != leukolens.__file__:
            self._ended()
            raise UnstartableError(f"Python finds another leukolens, {said.get('package')}")
        self.said = said["note"]
        return process

    def _exchanged(self, process: subprocess.Popen[bytes], *messages: bytes) -> bytes:
        asked, answers = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
        try:
            for message in messages:
                send(asked, message)
            answer = receive(answers)
        except OSError:  # it has closed its end of a pipe
            answer = None
        if answer is None:
            raise EndedError(how_it_ended(self._ended()))
        return answer

    def _ended(self) -> int:
        """Ends the process and lets go of it; its exit code, 0 where there was none."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)  # one that has just died tells of what, if it is let
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was still to be written has nobody to read it
                if pipe is not None:
                    pipe.close()
        return process.wait()


def how_it_ended(code: int) -> str:
    """An exit code of a process in words, a signal's number being negative."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _error_of(said: dict[str, Any]) -> LeukolensError:
    kind = getattr(errors, said["kind"], LeukolensError)
    error: LeukolensError = kind(said["problem"], said["remedy"])
    return error
