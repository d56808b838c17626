"""Keys to the API: made by a person for a purpose, shown once, revoked at any time."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from leukolens.errors import Missing, Refused, Unfit
from leukolens.server.actor import Actor
from leukolens.server.store import trail
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Token, User

IDENTIFIERS = "identifiers"
SCOPES = ("samples:read", "samples:write", IDENTIFIERS, "review", "sign", "bundles")
"""What a token may be used for; it never does more than its person's role allows at that moment."""
PREFIX = "leukolens_"
LONGEST_DAYS = 3650
LARGEST = 2**31


def make(session: Session, actor: Actor, name: str, scopes: Iterable[str], days: int | None = None) -> str:
    """Makes a token for the person who asks.

    Args:
        session: In a writing transaction.
        actor: The person, at the page.
        name: What it is for.
        scopes: Of :data:`SCOPES`.
        days: After which it ends; None for never.

    Returns:
        The secret, which nobody can show again.

    Raises:
        Refused: Where a token or the server asks.
        Unfit: Where the name, the scopes or the days cannot be taken.
    """
    user_id = _person(actor)
    kept = name.strip()
    if not 0 < len(kept) <= 80 or not kept.isprintable():
        raise Unfit("this cannot be a token's name", "Use 1 to 80 printable characters")
    asked = frozenset(scopes)
    if not asked or not asked <= set(SCOPES):
        raise Unfit("a token needs scopes that there are", f"Choose from {', '.join(SCOPES)}")
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise Unfit(f"a token cannot last {days} days", f"Choose 1 to {LONGEST_DAYS}")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = Token(
        user_id=user_id,
        name=kept,
        token_hash=_hash(secret),
        scopes=[scope for scope in SCOPES if scope in asked],
        expires=None if days is None else now() + timedelta(days=days),
        revoked=None,
    )
    session.add(token)
    session.flush()
    said = {"name": kept, "scopes": token.scopes, "days": days}
    trail.append(session, actor, "make token", f"token {token.id}", after=said)
    return secret


def who(session: Session, secret: str) -> Actor | None:
    """The person whose token this is, with its scopes.

    None where it is nobody's, expired, revoked, or a disabled person's.
    """
    if not secret.startswith(PREFIX):
        return None
    found = session.execute(
        select(Token.scopes, User.id, User.name, User.role)
        .join(User, User.id == Token.user_id)
        .where(
            Token.token_hash == _hash(secret),
            Token.revoked.is_(None),
            or_(Token.expires.is_(None), Token.expires > now()),
            User.disabled.is_(False),
        )
    ).one_or_none()
    return Actor(found.id, found.name, found.role, frozenset(found.scopes)) if found else None


def revoke(session: Session, actor: Actor, token_id: int) -> None:
    """Ends a token: one's own, or anybody's by an administrator.

    Raises:
        Refused: Where a token asks.
        Missing: Where there is no such token, or not for this person.
    """
    user_id = _person(actor)
    # A number that no database holds is no token's either.
    token = session.get(Token, token_id) if 0 < token_id < LARGEST else None
    if token is None or (token.user_id != user_id and actor.role != "administrator"):
        raise Missing(f"there is no token {token_id}", "Look at the list of tokens")
    if token.revoked is None:
        token.revoked = now()
        trail.append(session, actor, "revoke token", f"token {token_id}")


def revoke_all(session: Session, user_id: int) -> None:
    """Ends all tokens of a person who is shut out; the trail has that already."""
    session.execute(
        update(Token).where(Token.user_id == user_id, Token.revoked.is_(None)).values(revoked=now())
    )


def listed(session: Session, actor: Actor) -> Sequence[Token]:
    """A person's own tokens that still work, the newest first."""
    return session.scalars(
        select(Token)
        .where(
            Token.user_id == actor.user_id,
            Token.revoked.is_(None),
            or_(Token.expires.is_(None), Token.expires > now()),
        )
        .order_by(Token.id.desc())
    ).all()


def _person(actor: Actor) -> int:
    if actor.user_id is None or actor.scopes is not None:
        raise Refused("only a person at the page has tokens", "Sign in and use the page of your account")
    return actor.user_id


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
