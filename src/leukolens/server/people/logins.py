"""Who is signed in at a browser: signing in, the cookie it gives, and signing out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from leukolens.errors import Refused
from leukolens.server.actor import SERVER, Actor, Role
from leukolens.server.people import passwords, throttle
from leukolens.server.people.users import known_as
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.database import Database
from leukolens.server.store.tables import Login, User

LONGEST = 7
"""However busy, a login ends after so many times the hours that an idle one lasts."""
ROLLS_AFTER = 12
"""A login in use is prolonged once one part in so many of its hours has passed: not at every request."""


class WrongPassword(Refused):
    """A name and a password that do not go together; which of them is wrong is not said."""

    def __init__(self) -> None:
        super().__init__("the name or the password is not right", "Try again, or ask an administrator")
        self.args = ()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person at a browser.

    Attributes:
        actor: The person.
        full_name: As it stands on reports.
        language: Code, or None where none was chosen.
        csrf: What this login's forms must carry.
        due: Whether the login is to be prolonged.
    """

    actor: Actor
    full_name: str
    language: str | None
    csrf: str
    due: bool


def sign_in(database: Database, name: str, password: str, address: str, hours: float) -> str:
    """Signs a person in.

    Takes the database, not a session: a failure must be kept though it raises, and no transaction may be
    open while a password is worked on.

    Args:
        database: Where people are.
        name: What was typed as the name.
        password: What was typed as the password.
        address: Where from.
        hours: After which an idle login ends.

    Returns:
        The cookie.

    Raises:
        TooMany: Where too many attempts failed of late; the password is not looked at then.
        WrongPassword: Where there is no such active person, or the password is another.
    """
    user, reserved = _proven(database, name, password, address)
    fresh = passwords.hashed(password) if passwords.outdated(user.password_hash) else None
    cookie = secrets.token_urlsafe(32)
    with database.writing() as session:
        session.execute(delete(Login).where(Login.expires <= now()))
        known = _as_before(session, user)
        if fresh is not None:
            known.password_hash = fresh
        login = Login(token_hash=_hash(cookie), user_id=user.id, created=now())
        login.expires = _expires(login.created, hours)
        session.add(login)
        failures = throttle.take_back(session, reserved)
        after = {"failed before": failures} if failures else None
        trail.append(session, actor_of(known), "sign in", f"user {user.id}", after=after)
    return cookie


def confirm(database: Database, actor: Actor, password: str, address: str) -> None:
    """Asks who is signed in for the password once more, under the same limits as signing in.

    Raises:
        TooMany: As in :func:`sign_in`.
        WrongPassword: Where it is another.
    """
    _, reserved = _proven(database, actor.name, password, address)
    with database.writing() as session:
        throttle.take_back(session, reserved)


def find(session: Session, cookie: str, hours: float) -> SignedIn | None:
    """The person whose cookie this is; None where it is nobody's, expired, or a disabled person's."""
    # Columns, not objects: every request asks this.
    found = session.execute(
        select(User.id, User.name, User.role, User.full_name, User.language, Login.created, Login.expires)
        .join(Login, User.id == Login.user_id)
        .where(Login.token_hash == _hash(cookie), Login.expires > now(), User.disabled.is_(False))
    ).one_or_none()
    if found is None:
        return None
    wanted = _expires(found.created, hours)
    return SignedIn(
        actor=Actor(found.id, found.name, found.role),
        full_name=found.full_name,
        language=found.language,
        csrf=csrf_of(cookie),
        due=wanted - found.expires > timedelta(hours=hours) / ROLLS_AFTER,
    )


def who(session: Session, cookie: str) -> Actor | None:
    """The person whose cookie this is, or None."""
    found = find(session, cookie, 1)
    return found.actor if found else None


def prolong(session: Session, cookie: str, hours: float) -> None:
    """Lets a login that is in use last so many hours from now, but never beyond its longest."""
    login = session.get(Login, _hash(cookie))
    if login is not None and login.expires > now():
        login.expires = max(login.expires, _expires(login.created, hours))


def sign_out(session: Session, cookie: str) -> None:
    """Ends this login; nothing where there is none."""
    login = session.get(Login, _hash(cookie))
    if login is not None:
        user = session.get_one(User, login.user_id)
        session.delete(login)
        trail.append(session, actor_of(user), "sign out", f"user {user.id}")


def csrf_of(cookie: str) -> str:
    """What a login's forms must carry: no other login's fits, and the cookie cannot be told from it."""
    return hmac.new(cookie.encode(), b"leukolens csrf", hashlib.sha256).hexdigest()


def actor_of(user: User) -> Actor:
    """The person as one who acts."""
    return Actor(user.id, user.name, cast(Role, user.role))


def _proven(database: Database, name: str, password: str, address: str) -> tuple[User, throttle.Reserved]:
    """The person, and the attempt, which counts as failed until somebody takes it back."""
    source = throttle.Source(known_as(name), address)
    with database.reading() as session:  # refused here, an attempt costs next to nothing
        throttle.must_not_wait(session, source)
    with database.writing() as session:
        reserved = throttle.reserve(session, source)
        user = session.scalar(select(User).where(User.name == source.name, User.disabled.is_(False)))
    right = passwords.verify(user.password_hash if user else None, password)
    if user is not None and right:
        return user, reserved
    with database.writing() as session:
        _tell(session, reserved, user)
    raise WrongPassword


def _tell(session: Session, reserved: throttle.Reserved, user: User | None) -> None:
    """Sums failures up in the trail, which a storm of them must not fill."""
    source = reserved.source
    if user is not None and throttle.worth_telling(reserved.failures, throttle.NAME):
        said = {"failures within an hour": reserved.failures, "last from": source.by_address}
        trail.append(session, SERVER, "refuse to sign in", f"user {user.id}", after=said)
    if throttle.worth_telling(reserved.from_address, throttle.ADDRESS):
        said = {"failures within an hour": reserved.from_address, "from": source.by_address}
        trail.append(session, SERVER, "refuse to sign in", "door", after=said)


def _as_before(session: Session, user: User) -> User:
    """Between looking at the password and now, the person may have been disabled or given another."""
    known = session.get(User, user.id)
    if known is None or known.disabled or known.password_hash != user.password_hash:
        raise WrongPassword
    return known


def _expires(created: datetime, hours: float) -> datetime:
    return min(now() + timedelta(hours=hours), created + timedelta(hours=hours * LONGEST))


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
