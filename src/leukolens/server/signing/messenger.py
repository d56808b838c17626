"""The thread that delivers webhooks: of its own, so that no reading waits for a slow receiver."""

from __future__ import annotations

import logging
import threading

from leukolens.server.signing.webhook import Webhook, deliver, due
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files

log = logging.getLogger(__name__)
LOOK_EVERY = 5.0
"""Seconds after which it looks for what has become due."""


class Messenger:
    """Delivers what waits, the oldest first.

    Args:
        database: Where the jobs are.
        files: Images.
        webhook: Where to tell.
        look_every: Seconds between looks.
    """

    def __init__(
        self, database: Database, files: Files, webhook: Webhook, *, look_every: float = LOOK_EVERY
    ) -> None:
        self._database, self._files, self._webhook = database, files, webhook
        self._look_every = look_every
        self._stopping, self._awake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins; what was cut off by the end of the server before is sent again."""
        self._thread = threading.Thread(target=self._run, name="leukolens-messenger", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something new to deliver."""
        self._awake.set()

    def stop(self) -> None:
        """Ends, after the delivery that is under way."""
        self._stopping.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            try:
                with self._database.reading() as session:
                    job = due(session)
                    number = None if job is None else job.id
                if number is not None:
                    deliver(self._database, self._files, self._webhook, number)
                    continue
            # Nothing that goes wrong with one may end the thread: everything behind it would wait for ever.
            except Exception:
                log.exception("a webhook was not delivered and will be tried again")
            self._awake.wait(self._look_every)
