"""The API for programs: the services of the pages, as JSON. Its version is in every address."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute

from leukolens.server.web.api import (
    acts,
    cells,
    counts,
    fields,
    quality,
    readers,
    reference,
    reports,
    samples,
    server,
)
from leukolens.server.web.api.door import COOKIE, PREFIX


def _name(route: APIRoute) -> str:
    """What clients that are made from the description call the operation."""
    return f"{route.tags[0]}_{route.name}".replace(" ", "_")


router = APIRouter(prefix=PREFIX, generate_unique_id_function=_name, dependencies=[Depends(COOKIE)])
for part in (
    server.router, samples.router, fields.uploading, fields.router, cells.router, acts.router, counts.router,
    readers.router, reports.router, quality.router,
):  # fmt: skip
    router.include_router(part)

routers: tuple[APIRouter, ...] = (router, reference.router)
"""All of them, for the application to include."""
