"""Passwords: which may be chosen, how they are kept, and whether one is right."""

from __future__ import annotations

import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from leukolens.errors import Unfit

SHORTEST = 10
LONGEST = 1024
BESIDE_THE_NAME = 4
"""How many characters a password that holds the person's name must have besides it."""

HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)
"""argon2id with the second recommendation of RFC 9106: three passes over 64 MiB."""

# Each takes 64 MiB: a storm of sign-ins waits in line rather than fill the memory.
_AT_ONCE = threading.BoundedSemaphore(2)


def must_be_fit(password: str, name: str) -> None:
    """Refuses a password that is guessed too easily.

    Args:
        password: As it was typed.
        name: What its person signs in with.

    Raises:
        Unfit: Naming the rule.
    """
    remedy = f"Choose one of {SHORTEST} characters or more that does not rest on the name"
    if len(password) < SHORTEST:
        raise Unfit(f"the password has {len(password)} characters", remedy)
    if len(password) > LONGEST:
        raise Unfit(f"the password has more than {LONGEST} characters", "Choose a shorter one")
    if len(set(password)) == 1:
        raise Unfit("the password is one character again and again", remedy)
    if len(password.casefold().replace(name.casefold(), "")) < BESIDE_THE_NAME:
        raise Unfit("the password is the name, or hardly more", remedy)


def hashed(password: str) -> str:
    """What is kept of a password: an argon2id hash with its salt and its parameters."""
    with _AT_ONCE:
        return HASHER.hash(_bytes(password))


def verify(kept: str | None, password: str) -> bool:
    """Whether this is the password.

    Args:
        kept: What :func:`hashed` gave; None where there is no such person, which takes as long.
        password: As it was typed.
    """
    with _AT_ONCE:
        try:
            return HASHER.verify(kept or _decoy(), _bytes(password)) and kept is not None
        except (Argon2Error, InvalidHashError):
            return False


def outdated(kept: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return HASHER.check_needs_rehash(kept)


@cache
def _decoy() -> str:
    return HASHER.hash(b"nobody's")


def _bytes(password: str) -> bytes:
    # Keyboards differ in how they compose an umlaut, and one person uses several.
    return unicodedata.normalize("NFKC", password[: LONGEST + 1]).encode("utf-8", "surrogatepass")
