"""Pages from templates: the language, the look and the person are the same for all of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leukolens import __version__
from leukolens.server.actor import ROLES, Actor
from leukolens.server.web.spoken import spoken
from leukolens.server.web.text import DEFAULT, LANGUAGES, translate

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")
THEMES = ("auto", "light", "dark")
A_YEAR = 365 * 24 * 3600

pages = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
pages.globals.update(version=__version__, languages=LANGUAGES, roles=ROLES)


def render(
    request: Request, template: str, *, actor: Actor | None = None, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page, or a part of one, in the language of whoever asks.

    Templates find ``t(key, **values)``, ``spoken(message)`` for what the services say, ``language``, ``theme``,
    ``actor`` (None for nobody), ``csrf`` (empty where nobody is signed in), ``path`` and what is given here.

    Args:
        request: What is answered.
        template: Name in the templates' folder.
        actor: Who asks.
        status: HTTP status.
        **values: What the template shows.
    """
    language = language_of(request)
    body = pages.get_template(template).render(
        t=partial(translate, language), spoken=partial(spoken, language), language=language,
        theme=theme_of(request), actor=actor, csrf=getattr(request.state, "csrf", ""), path=request.url.path, **values,
    )  # fmt: skip
    answer = HTMLResponse(
        body, status, headers={"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language"}
    )
    if request.query_params.get("language") in LANGUAGES:
        answer.set_cookie("language", language, max_age=A_YEAR, samesite="lax", path="/")
    return answer


def language_of(request: Request) -> str:
    """What was asked for last, else the first language of the browser's that there is."""
    chosen = (request.query_params.get("language"), request.cookies.get("language"))
    offered = (
        part.split(";")[0].strip()[:2].lower()
        for part in request.headers.get("accept-language", "").split(",")
    )
    return next((code for code in (*chosen, *offered) if code in LANGUAGES), DEFAULT)  # type: ignore[return-value]


def theme_of(request: Request) -> str:
    """How the page looks: light, dark, or as the system does."""
    theme = request.cookies.get("theme", "")
    return theme if theme in THEMES else THEMES[0]
