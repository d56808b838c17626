"""Who does something, and what that person may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from leukolens.errors import Refused

Role = Literal["reader", "reviewer", "administrator"]
ROLES: tuple[Role, ...] = ("reader", "reviewer", "administrator")
"""From the least to the most: whoever may do what a role may, may do what those before it may."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person, or the server itself.

    Attributes:
        user_id: Of the table of users; None for the server.
        name: As it stands in the audit trail.
        role: What the person may do. A reader names cells, a reviewer signs too, an administrator manages
            people and bundles too.
        scopes: Of an API token: what it may be used for; None for a person at the page, who may do all that
            the role may.
    """

    user_id: int | None
    name: str
    role: Role
    scopes: frozenset[str] | None = None

    def must_be(self, role: Role, what: str) -> None:
        """Refuses whoever has a lesser role.

        Raises:
            Refused: Naming what was wanted.
        """
        if ROLES.index(self.role) < ROLES.index(role):
            raise Refused(
                f"{self.name} is a {self.role}, and may not {what}", f"Ask somebody whose role is {role}"
            )

    def must_have(self, scope: str) -> None:
        """Refuses a token without this scope.

        Raises:
            Refused: Naming the scope.
        """
        if self.scopes is not None and scope not in self.scopes:
            raise Refused(f"this token has no scope {scope}", "Use one that has it")


SERVER = Actor(None, "server", "administrator")
