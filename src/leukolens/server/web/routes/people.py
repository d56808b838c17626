"""The people who may sign in, for an administrator: add, change, disable, give a new password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from leukolens.errors import Conflict, LeukolensError, Unfit
from leukolens.server.actor import Actor
from leukolens.server.people import users
from leukolens.server.web.context import Administrator, Reading, Writing
from leukolens.server.web.errors import status_of
from leukolens.server.web.rendering import render
from leukolens.server.web.routes.login import same_twice

router = APIRouter(prefix="/people", include_in_schema=False)
Text = Annotated[str, Form()]
SEE_OTHER = 303
EMPTY = {"name": "", "full_name": "", "role": "reader"}


@router.get("")
def listed(request: Request, actor: Administrator, session: Reading) -> Response:
    """Everybody, and the form for somebody new."""
    return _list(request, actor, session)


@router.post("")
def add(
    request: Request,
    actor: Administrator,
    session: Writing,
    name: Text = "",
    full_name: Text = "",
    role: Text = "",
    password: Text = "",
    again: Text = "",
) -> Response:
    """Adds a person; the list again with what is wrong where that fails."""
    try:
        same_twice(request, password, again)
        users.create(session, actor, name, full_name, role, password)
    except (Unfit, Conflict) as error:
        session.rollback()
        given = {"name": name, "full_name": full_name, "role": role}
        return _list(request, actor, session, given=given, problem=error)
    return RedirectResponse("/people", SEE_OTHER)


@router.get("/{user_id}")
def one(request: Request, actor: Administrator, session: Reading, user_id: int) -> Response:
    """One person, and what can be changed."""
    return _one(request, actor, session, user_id)


@router.post("/{user_id}")
def change(
    request: Request,
    actor: Administrator,
    session: Writing,
    user_id: int,
    full_name: Text = "",
    role: Text = "",
) -> Response:
    """Changes name and role."""
    try:
        users.change(session, actor, user_id, full_name=full_name, role=role)
    except (Unfit, Conflict) as error:
        session.rollback()
        return _one(request, actor, session, user_id, error)
    return RedirectResponse("/people", SEE_OTHER)


@router.post("/{user_id}/password")
def give_password(
    request: Request,
    actor: Administrator,
    session: Writing,
    user_id: int,
    password: Text = "",
    again: Text = "",
) -> Response:
    """Gives a new password; the person has to sign in anew."""
    try:
        same_twice(request, password, again)
        users.give_password(session, actor, user_id, password)
    except Unfit as error:
        session.rollback()
        return _one(request, actor, session, user_id, error)
    return RedirectResponse("/people", SEE_OTHER)


@router.post("/{user_id}/disable")
def disable(request: Request, actor: Administrator, session: Writing, user_id: int) -> Response:
    """Lets a person in no more."""
    try:
        users.disable(session, actor, user_id)
    except Conflict as error:
        return _one(request, actor, session, user_id, error)
    return RedirectResponse("/people", SEE_OTHER)


@router.post("/{user_id}/enable")
def enable(actor: Administrator, session: Writing, user_id: int) -> Response:
    """Lets a person in again."""
    users.enable(session, actor, user_id)
    return RedirectResponse("/people", SEE_OTHER)


def _list(
    request: Request,
    actor: Actor,
    session: Session,
    *,
    given: dict[str, str] = EMPTY,
    problem: LeukolensError | None = None,
) -> Response:
    return render(
        request, "door/people.html", actor=actor, status=status_of(problem) if problem else 200,
        people=users.listed(session), given=given, problem=problem,
    )  # fmt: skip


def _one(
    request: Request, actor: Actor, session: Session, user_id: int, problem: LeukolensError | None = None
) -> Response:
    return render(
        request, "door/person.html", actor=actor, status=status_of(problem) if problem else 200,
        person=users.find(session, user_id), problem=problem,
    )  # fmt: skip
