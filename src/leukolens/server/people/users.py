"""The people who may sign in: who they are, what they may do, and whether they still may."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, get_args

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, Missing, Unfit
from leukolens.server.actor import Actor, Role
from leukolens.server.people import passwords, tokens
from leukolens.server.store import trail
from leukolens.server.store.tables import Login, User

MANAGE = "manage people"
LARGEST = 2**31
_NAME = re.compile(r"[^\W_][\w.@+-]{0,79}")


def known_as(name: str) -> str:
    """A name as it is kept: in lower case, composed; empty where nobody can have it."""
    kept = unicodedata.normalize("NFKC", name[:200]).strip().lower()
    return kept if _NAME.fullmatch(kept) else ""


def create(
    session: Session, actor: Actor, name: str, full_name: str, role: Role | str, password: str
) -> User:
    """Lets a person in from now on.

    Raises:
        Refused: Where the actor is no administrator.
        Unfit: Where a name, the role or the password cannot be taken.
        Conflict: Where the name is another person's.
    """
    actor.must_be("administrator", MANAGE)
    kept = known_as(name)
    if not kept:
        raise Unfit(
            "this cannot be a name to sign in with",
            "Use up to 80 letters, digits and . @ + - _, beginning with a letter or digit",
        )
    passwords.must_be_fit(password, kept)
    user = User(
        name=kept,
        full_name=_full_name(full_name),
        role=_role(role),
        password_hash=passwords.hashed(password),
    )
    taken = Conflict(f"there is a {kept} already", "Choose another name")
    if session.scalar(select(User.id).where(User.name == kept)) is not None:
        raise taken
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:  # another was quicker
        raise taken from error
    trail.append(session, actor, "create person", f"user {user.id}", after=_said(user))
    return user


def change(
    session: Session,
    actor: Actor,
    user_id: int,
    *,
    full_name: str | None = None,
    role: Role | str | None = None,
) -> User:
    """Changes a person's name on reports, or what the person may do; None leaves as it is.

    Raises:
        Refused: Where the actor is no administrator.
        Missing: Where there is no such person.
        Unfit: Where the name or the role cannot be taken.
        Conflict: Where it would leave no administrator.
    """
    actor.must_be("administrator", MANAGE)
    user = find(session, user_id)
    before = _said(user)
    if full_name is not None:
        user.full_name = _full_name(full_name)
    if role is not None and _role(role) != user.role:
        _must_leave_an_administrator(session, user)
        user.role = role
    if _said(user) != before:
        trail.append(session, actor, "change person", f"user {user_id}", before=before, after=_said(user))
    return user


def disable(session: Session, actor: Actor, user_id: int) -> User:
    """Lets a person in no more: ends all logins and revokes all tokens. What the person did stays.

    Raises:
        Refused: Where the actor is no administrator.
        Missing: Where there is no such person.
        Conflict: Where it would leave no administrator.
    """
    actor.must_be("administrator", MANAGE)
    user = find(session, user_id)
    if not user.disabled:
        _must_leave_an_administrator(session, user)
        user.disabled = True
        _shut_out(session, user)
        trail.append(session, actor, "disable person", f"user {user_id}")
    return user


def enable(session: Session, actor: Actor, user_id: int) -> User:
    """Lets a disabled person in again, with the password there was and without tokens.

    Raises:
        Refused: Where the actor is no administrator.
        Missing: Where there is no such person.
    """
    actor.must_be("administrator", MANAGE)
    user = find(session, user_id)
    if user.disabled:
        user.disabled = False
        trail.append(session, actor, "enable person", f"user {user_id}")
    return user


def give_password(session: Session, actor: Actor, user_id: int, password: str) -> User:
    """Gives a person a new password. Its logins end; where another gives it, its tokens are revoked too.

    Whoever changes the own password must have shown the old one first.

    Raises:
        Refused: Where the actor is neither an administrator nor that person.
        Missing: Where there is no such person.
        Unfit: Where the password cannot be taken.
    """
    own = actor.user_id == user_id and actor.scopes is None
    if not own:
        actor.must_be("administrator", MANAGE)
    user = find(session, user_id)
    passwords.must_be_fit(password, user.name)
    user.password_hash = passwords.hashed(password)
    _shut_out(session, user, with_tokens=not own)
    trail.append(session, actor, "give password", f"user {user_id}")
    return user


def choose_language(session: Session, actor: Actor, language: str) -> None:
    """Keeps the language in which a person wants the pages; the trail says nothing of it."""
    if actor.user_id is not None:
        find(session, actor.user_id).language = language


def listed(session: Session) -> Sequence[User]:
    """Everybody, active ones first, by name."""
    return session.scalars(select(User).order_by(User.disabled, User.name)).all()


def find(session: Session, user_id: int) -> User:
    """A person by number.

    Raises:
        Missing: Where there is none.
    """
    # A number that no database holds is nobody's either.
    user = session.get(User, user_id) if 0 < user_id < LARGEST else None
    if user is None:
        raise Missing(f"there is no person {user_id}", "Look at the list of people")
    return user


def anybody(session: Session) -> bool:
    """Whether anybody at all can sign in."""
    return session.scalar(select(User.id).limit(1)) is not None


def _must_leave_an_administrator(session: Session, user: User) -> None:
    if user.role != "administrator" or user.disabled:
        return
    # Locked, so that two administrators cannot put each other out in the same moment.
    active = session.scalars(
        select(User.id).where(User.role == "administrator", User.disabled.is_(False)).with_for_update()
    ).all()
    if set(active) <= {user.id}:
        raise Conflict(f"{user.name} is the last administrator", "Make somebody else an administrator first")


def _shut_out(session: Session, user: User, *, with_tokens: bool = True) -> None:
    session.execute(delete(Login).where(Login.user_id == user.id))
    if with_tokens:
        tokens.revoke_all(session, user.id)


def _full_name(full_name: str) -> str:
    kept = unicodedata.normalize("NFC", full_name).strip()
    if not 0 < len(kept) <= 200 or not kept.isprintable():
        raise Unfit("this cannot be a person's full name", "Use 1 to 200 printable characters")
    return kept


def _role(role: str) -> str:
    if role not in get_args(Role):
        raise Unfit(f"there is no role {role[:40]!r}", f"Use one of {', '.join(get_args(Role))}")
    return role


def _said(user: User) -> dict[str, Any]:
    return {"name": user.name, "full name": user.full_name, "role": user.role}
