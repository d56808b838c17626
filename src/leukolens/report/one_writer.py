"""One process at a time: a lock that goes with the process, however it ends."""

from __future__ import annotations

import errno
import sys
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _take(stream: IO[bytes]) -> None:
        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(stream: IO[bytes]) -> None:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


def take(stream: IO[bytes]) -> bool:
    """Takes an open file for this process alone, until the file is closed or the process is gone.

    The system keeps the lock, so a process that was killed leaves none behind: there is no stale lock to
    detect. The file itself stays; taking it away would let two processes lock two files of one name.

    Args:
        stream: Opened for writing.

    Returns:
        False where another process has it.

    Raises:
        OSError: Where the file system knows no locks.
    """
    try:
        _take(stream)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True
