"""Signing a sample, opening it again, and the files of each signed version."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy.orm import Session

from leukolens.server.intake import samples
from leukolens.server.signing import formats, sign
from leukolens.server.store import tables
from leukolens.server.web.api.door import Asked, Identified, Seeing, Short, Signing, Told
from leukolens.server.web.api.samples import Sample, told
from leukolens.server.web.context import Reading, Writing, context_of
from leukolens.server.web.pages.frame import LARGEST

router = APIRouter(prefix="/samples/{key}", tags=["reports"], route_class=Short)
Version = Annotated[int, Path(ge=1, le=LARGEST)]
Format = StrEnum("Format", {name: name for name in formats.FORMATS})  # type: ignore[misc]


class Signature(Asked):
    """How a sample is signed."""

    accept_unsure: bool = False
    """Whether cells may be left without a name."""


class Reason(Asked):
    """Why a signed sample is opened again; stands on later versions."""

    why: str = Field(min_length=1, max_length=sign.LONGEST_WHY)


class Report(Told):
    """A signed version of a sample's report."""

    version: int
    status: Literal["final", "amended"]
    signed_by: str
    """The full name, as it stands on the report."""
    signed_at: datetime
    trail_hash: str
    """The audit trail's newest hash when it was signed, which is printed on the report."""
    reopened: bool
    """Whether the sample was opened again after it."""
    reopened_why: str | None
    """Why it was; null unless whose smear it is was asked for, since free text may say that."""


class Reports(Told):
    """Every signed version, the oldest first."""

    reports: list[Report]


FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report's file",
        "content": {
            name: {
                "schema": {"type": "object"}
                if name.endswith("json")
                else {"type": "string", "format": "binary"}
            }
            for name in (kind.media_type.partition(";")[0] for kind in formats.FORMATS.values())
        },
    }
}


@router.post("/sign", summary="Sign a sample", status_code=201)
def put_name(key: str, body: Signature, request: Request, actor: Signing, session: Writing) -> Report:
    """Locks the sample and keeps its report, in the name of the person whose token or login it is: a reviewer."""
    context = context_of(request)
    signed = sign.sign(
        session, context.files, actor, samples.find(session, key), accept_unsure=body.accept_unsure,
        announce=context.messenger is not None,
    )  # fmt: skip
    return _told(session, signed)


@router.post("/reopen", summary="Open a signed sample again")
def reopen(key: str, body: Reason, actor: Signing, session: Writing) -> Sample:
    """The version that was signed stays, with the reason; a reviewer's."""
    return told(session, sign.reopen(session, actor, samples.find(session, key), body.why))


@router.get("/reports", summary="List signed versions")
def listed(key: str, actor: Seeing, session: Reading, identified: Identified) -> Reports:
    """Every version that was signed, the oldest first."""
    versions = sign.versions(session, samples.find(session, key))
    return Reports(reports=[_told(session, one, identified=identified) for one in versions])


@router.get(
    "/reports/{version}/{name}", summary="A signed version's file", responses=FILE, response_class=Response
)
def download(
    key: str,
    version: Version,
    name: Format,
    request: Request,
    actor: Seeing,
    session: Reading,
    identified: Identified,
) -> Response:
    """As it was signed, called by the sample's key; whose smear it is stands in it only where that was asked for."""
    sample = samples.find(session, key)
    signed = sign.version(session, sample, version)
    whose = samples.identity(session, sample).identifier if identified else None
    content = formats.write(signed, name.value, context_of(request).files, identifier=whose)
    headers = {"Content-Disposition": f'attachment; filename="{formats.file_name(signed, name.value)}"'}
    return Response(content, media_type=formats.FORMATS[name.value].media_type, headers=headers)


def _told(session: Session, report: tables.Report, *, identified: bool = False) -> Report:
    signer = session.get(tables.User, report.signed_by)
    return Report(
        status=report.status,  # type: ignore[arg-type]
        version=report.version, signed_by=signer.full_name if signer else "",
        signed_at=report.signed_at, trail_hash=report.trail_hash, reopened=report.reopened_why is not None,
        reopened_why=report.reopened_why if identified else None,
    )  # fmt: skip
