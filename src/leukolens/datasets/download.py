"""One file over HTTP: goes on where it broke off, waits only so long, and never leaves a part as a whole."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from leukolens.errors import DownloadError

Progress = Callable[[int, int | None], None]
"""Told bytes so far, and bytes in all where they are known."""

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to bear a server.

    Attributes:
        attempts: Tries in a row that bring nothing new before giving up.
        pause_s: Seconds before the second of them; doubled before each further one.
        silence_s: Seconds without a byte until a connection counts as broken.
        window_s: Seconds over which the rate is judged.
        slowest: Bytes a second below which a connection counts as broken.
        most: Bytes above which a file is refused.
    """

    attempts: int = 5
    pause_s: float = 1.0
    silence_s: float = 30.0
    window_s: float = 60.0
    slowest: float = 1024.0
    most: int = 8 * 2**30


class _BrokenError(Exception):
    """A connection that may do better next time."""


def download(
    address: str, target: Path, patience: Patience | None = None, progress: Progress | None = None
) -> Path:
    """Fetches an address into ``target``, which appears only when it is complete.

    What came so far stands in ``target`` + ``.part``; another call goes on from there if the server says
    that the file is still the same.

    Args:
        address: ``http`` or ``https``.
        target: File to make; its folder must be there.
        patience: How long to bear the server.
        progress: Told of every piece.

    Raises:
        DownloadError: Where the server does not have the file, stays silent or slow, or the disk is full.
    """
    patience = patience or Patience()
    if urlsplit(address).scheme not in {"http", "https"}:
        raise DownloadError(f"{address} is no http or https address", "Check the address")
    part = target.with_name(f"{target.name}.part")
    fruitless, furthest = 0, _size(part)
    while True:
        try:
            _attempt(address, part, patience, progress)
            part.replace(target)
            _memory(part).unlink(missing_ok=True)
            return target
        except _BrokenError as broken:
            fruitless = 0 if _size(part) > furthest else fruitless + 1
            furthest = max(furthest, _size(part))
            if fruitless >= patience.attempts:
                raise DownloadError(
                    f"{address} could not be fetched ({broken})",
                    "Check the network and run this again; it goes on where it stopped",
                ) from broken
        except OSError as error:
            raise DownloadError(
                f"{part} cannot be written ({error.strerror or error})",
                "Free some space, then run this again",
            ) from error
        time.sleep(min(patience.pause_s * 2**fruitless, 60.0))


def _attempt(address: str, part: Path, patience: Patience, progress: Progress | None) -> None:
    have, validator = _size(part), _remembered(part, address)
    headers = {"User-Agent": "leukolens", "Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        response = _OPENER.open(urllib.request.Request(address, headers=headers), timeout=patience.silence_s)
    except urllib.error.HTTPError as error:
        with error:
            _judge(error, address, part, have)
        return
    except (http.client.HTTPException, OSError) as error:
        raise _BrokenError(_words(error)) from error
    with response:
        start, total = _extent(response.status, response.headers, have)
        if (total or 0) > patience.most:
            raise DownloadError(
                f"{address} claims {total} bytes", "This cannot be the file; check the address"
            )
        _remember(part, address, response.headers)
        with part.open("r+b" if start else "wb") as stream:
            stream.truncate(start)
            stream.seek(start)
            _receive(response, stream, total, patience, progress)


def _receive(
    response: http.client.HTTPResponse,
    stream: IO[bytes],
    total: int | None,
    patience: Patience,
    progress: Progress | None,
) -> None:
    window_from, window_bytes = time.monotonic(), 0
    while True:
        try:
            piece = response.read1(_CHUNK)
        except (http.client.HTTPException, OSError) as error:
            raise _BrokenError(_words(error)) from error
        if not piece:
            break
        stream.write(piece)
        if stream.tell() > patience.most:
            raise DownloadError("the server sends more than any file should hold", "Check the address")
        if progress:
            progress(stream.tell(), total)
        window_bytes += len(piece)
        elapsed = time.monotonic() - window_from
        if elapsed > patience.window_s:
            if window_bytes < patience.slowest * elapsed:
                raise _BrokenError(f"only {window_bytes / elapsed:.0f} bytes a second")
            window_from, window_bytes = time.monotonic(), 0
    if total is not None and stream.tell() != total:
        raise _BrokenError(f"broke off at {stream.tell()} of {total} bytes")


def _extent(status: int, headers: HTTPMessage, have: int) -> tuple[int, int | None]:
    """Where in the file this answer's bytes begin, and how long the file is, if the server says so."""
    if status == 206:
        matched = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if matched is None or int(matched[1]) != have:
            raise _BrokenError("the server sent another range than was asked for")
        return have, None if matched[2] == "*" else int(matched[2])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _judge(error: urllib.error.HTTPError, address: str, part: Path, have: int) -> None:
    """Returns where the refusal means that all is there already; raises otherwise."""
    if error.code == 416:
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink(missing_ok=True)
        raise _BrokenError("what came so far does not fit the file")
    if error.code in _TRANSIENT:
        raise _BrokenError(f"HTTP {error.code}")
    raise DownloadError(
        f"{address} answered HTTP {error.code} ({error.reason})",
        "Fetch the files from the publisher's page yourself and hand them over with --from",
    )


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects within the web, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in {"http", "https"} or (old == "https" and new != "https"):
            raise DownloadError(f"{req.full_url} redirects to {newurl}", "Check the address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_WebOnly)


def _memory(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remember(part: Path, address: str, headers: HTTPMessage) -> None:
    """Keeps what tells later whether the file is still the same; weak validators don't."""
    tag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    _memory(part).write_text(json.dumps({"address": address, "validator": validator}), encoding="utf-8")


def _remembered(part: Path, address: str) -> str:
    try:
        memory = json.loads(_memory(part).read_text(encoding="utf-8"))
        return str(memory["validator"]) if memory["address"] == address else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return "it stayed silent" if isinstance(reason, TimeoutError) else str(reason) or type(reason).__name__
