"""That a form is its own login's: what stands against another site that makes a browser send one."""

from __future__ import annotations

import hmac

from fastapi import Request

from leukolens.errors import Refused
from leukolens.server.web.context import context_of
from leukolens.server.web.gate import SAFE, Visitor

WITHOUT_FORM_TOKEN = ("/login",)
"""Where nobody has a login yet, or has one beside; that the form is this site's, its origin says."""
FIELDS = ("csrf_token", "csrf")
HEADER = "x-csrf-token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def own_form(request: Request) -> None:
    """Refuses a form or a script's request that does not carry its own login's token.

    The app asks this for every route: none can forget it.

    Raises:
        Refused: Where the token is missing or another login's.
    """
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if request.method in SAFE or visitor is None or visitor.cookie is None:
        return
    if request.url.path in WITHOUT_FORM_TOKEN:
        return
    sent = request.headers.get(HEADER)
    if sent is None and request.headers.get("content-type", "").lower().startswith(_FORMS):
        form = await request.form(max_files=context_of(request).settings.limits.files)
        sent = next((str(form[field]) for field in FIELDS if field in form), None)
    if not hmac.compare_digest((sent or "").encode(), visitor.csrf.encode()):
        raise Refused("the page is no longer yours to send", "Load it again and try once more")
