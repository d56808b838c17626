"""The first administrator: whoever sees the terminal may make one, with a code that is printed there."""

from __future__ import annotations

import hmac
import secrets

from sqlalchemy.orm import Session

from leukolens.errors import Missing, Refused
from leukolens.server.actor import SERVER
from leukolens.server.people import users
from leukolens.server.store.tables import User

LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
GROUPS, GROUP = 4, 4


class FirstCode:
    """A code that makes the first administrator, good until there is one or the server ends.

    Attributes:
        text: As it is printed; 80 random bits.
    """

    def __init__(self) -> None:
        groups = ("".join(secrets.choice(LETTERS) for _ in range(GROUP)) for _ in range(GROUPS))
        self.text = "-".join(groups)

    def fits(self, typed: str) -> bool:
        """Whether this is the code, however it was spaced."""
        kept = "".join(typed[:100].upper().replace("-", " ").split())
        return hmac.compare_digest(kept.encode("utf-8", "replace"), self.text.replace("-", "").encode())


def make(session: Session, code: FirstCode, typed: str, name: str, full_name: str, password: str) -> User:
    """Makes the first administrator.

    Raises:
        Missing: Where there are people already.
        Refused: Where the code is another.
        Unfit: Where a name or the password cannot be taken.
    """
    must_be_nobody(session)
    if not code.fits(typed):
        raise Refused("this is not the code", "Copy it from the terminal on which the server was started")
    return users.create(session, SERVER, name, full_name, "administrator", password)


def must_be_nobody(session: Session) -> None:
    """Refuses once there is anybody.

    Raises:
        Missing: Saying so.
    """
    if users.anybody(session):
        raise Missing("there is an administrator already", "Sign in, or ask one")
