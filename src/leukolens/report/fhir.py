"""A sample's differential count as a FHIR document: a report with one Observation a class, for review.

Plain JSON of elements that R4 (4.0.1) and R4B (4.3.0) have in common; no library is needed to write it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from leukolens.errors import ReportError
from leukolens.report import fhir_codes as codes
from leukolens.report.fhir_codes import STATEMENT, Resource, concept, filled
from leukolens.report.fhir_observations import Context, observations
from leukolens.report.listing import field_name
from leukolens.report.review_words import review_lines, statement
from leukolens.report.sample import SampleReport
from leukolens.report.tables import printable
from leukolens.report.writing import whole_file

NAMESPACE = uuid5(NAMESPACE_URL, "urn:leukolens:fhir")


def write_fhir(
    report: SampleReport,
    path: Path,
    *,
    subject: str | None = None,
    effective: datetime | None = None,
    issued: datetime | None = None,
    names: bool = False,
) -> None:
    """Writes the sample's FHIR Bundle. The arguments are those of `document`.

    Raises:
        ReportError: Where it cannot be written, or a time has no time zone.
    """
    content = document(report, subject=subject, effective=effective, issued=issued, names=names)
    with whole_file(path) as stream:
        json.dump(content, stream, indent=2, allow_nan=False)
        stream.write("\n")


def document(
    report: SampleReport,
    *,
    subject: str | None = None,
    effective: datetime | None = None,
    issued: datetime | None = None,
    names: bool = False,
) -> Resource:
    """A Bundle (*collection*): DiagnosticReport, Specimen, Device, Observations.

    They are *preliminary*, or have the status of the review where there is one: its reviewer is the performer.

    It holds no clock's time and no chance: ids are UUIDs (version 5) of the content, so equal input gives an
    equal document. The sample's name is in it, as the Specimen's identifier.

    Args:
        report: The sample.
        subject: Reference to whose blood it is, e.g. ``Patient/123``; None leaves it out.
        effective: When the blood was drawn, with a time zone; None leaves it out.
        issued: When the report was made, with a time zone; None for when it was signed, and leaves it out
            where it wasn't.
        names: Whether the images' paths stand in it, as notes of the Specimen.

    Raises:
        ReportError: Where a time has no time zone.
    """
    made = report.review.signed if issued is None and report.review else issued
    context = Context(report, subject, _instant(effective), _instant(made), names, reference=str)
    images = [field.sha256 for field in report.fields]
    seed = sha256(json.dumps([images, _resources(context)], sort_keys=True).encode()).hexdigest()

    def identity(key: str) -> str:
        return str(uuid5(NAMESPACE, f"{seed}/{key}"))

    def address(key: str) -> str:
        return f"urn:uuid:{identity(key)}"

    entries = [
        {
            "fullUrl": address(key),
            "resource": {"resourceType": resource["resourceType"], "id": identity(key), **resource},
        }
        for key, resource in _resources(replace(context, reference=address)).items()
    ]
    return {"resourceType": "Bundle", "id": identity("bundle"), "type": "collection", "entry": entries}


def _instant(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ReportError(f"{moment.isoformat()} has no time zone", "Give one, e.g. +00:00: FHIR requires it")
    return moment.isoformat(timespec="seconds")


def _resources(context: Context) -> dict[str, Resource]:
    observed = observations(context)
    return {
        "report": _report(context, observed),
        "specimen": _specimen(context),
        "device": _device(context),
        **observed,
    }


def _report(context: Context, observed: Mapping[str, Resource]) -> Resource:
    report = context.report
    said = [*map(printable, review_lines(report)), *(flag.message for flag in report.flags)]
    category = f"{codes.TERMINOLOGY}/v2-0074"
    return filled(
        {
            "resourceType": "DiagnosticReport",
            "status": context.status,
            "category": [concept("Laboratory", "LAB", category), concept("Haematology", "HM", category)],
            "code": concept("White blood cell differential from images", codes.DIFFERENTIAL_PANEL),
            **context.about(),
            "specimen": [context.link("specimen")],
            "result": [context.link(key) for key in observed],
            "conclusion": "\n".join([*said, *report.warnings, statement(report)]),
        }
    )


def _specimen(context: Context) -> Resource:
    name = printable(context.report.name).strip()
    paths = [printable(str(field.path)) for field in context.report.fields] if context.names else []
    return filled(
        {
            "resourceType": "Specimen",
            "identifier": [{"value": name}] if name else [],
            "type": concept("Stained smear of peripheral blood"),
            "subject": context.about()["subject"],
            "note": [{"text": f"{field_name(place)}: {path}"} for place, path in enumerate(paths, start=1)],
        }
    )


def _device(context: Context) -> Resource:
    origin = context.report.origin
    versions = {
        "software": origin.leukolens,
        "bundle": origin.bundle,
        "bundle sha256": origin.bundle_sha256,
        "engine": origin.engine,
    }
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "Leukolens", "type": "model-name"}],
        "type": concept("Software that finds and names white blood cells in images of smears"),
        "version": [{"type": concept(kind), "value": value} for kind, value in versions.items()],
        "note": [{"text": STATEMENT}],
    }
