"""The job ``adapt``: a set of reviewed cells becomes a bundle of the laboratory's own, by processes of their own.

`leukolens adapt` does the work, as anyone at a terminal would have it done, in a private folder. The bundle's file, its
row, what was found and that the job is done are kept at the end, all of it or nothing: cut off in between, the job
begins anew. What is made is never active by itself.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from leukolens.errors import BundleError, ServerError
from leukolens.server.actor import SERVER
from leukolens.server.jobs import queue
from leukolens.server.jobs.bench import Bench
from leukolens.server.learning import workshop
from leukolens.server.learning.asking import ADAPT
from leukolens.server.learning.plan import Plan, plan
from leukolens.server.store import trail
from leukolens.server.store.tables import Adaptation, BundleFile, Job

LONGEST = 3600.0
"""Seconds that cutting, and then learning, may take."""
REFUSED = 1
"""What a command ends with that explains in a line why it does not do it."""
SAY_EVERY = 1.0
NEW = "new.leukolens"


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of it.

    Attributes:
        document: leukolens.adapt/1, without the path; None where it was refused.
        bundle: sha256 of the new bundle, which is kept; None likewise.
        refusal: Why nothing came of it.
        not_cut: Fields that could not be read again.
    """

    document: dict[str, Any] | None = None
    bundle: str | None = None
    refusal: str | None = None
    not_cut: int = 0


def adapt(bench: Bench, job: Job) -> None:
    """Does an adaptation that was asked for."""
    with bench.database.reading() as session:
        asked = session.get_one(Adaptation, job.request["adaptation"])
        try:
            planned = plan(session, bench.files, asked)
        except BundleError as error:
            problem = str(error)
            bench.keep(lambda session: queue.fail(session, session.get_one(Job, job.id), problem))
            return

    def wanted() -> bool:
        with bench.database.reading() as session:
            return session.get_one(Job, job.id).state == "running"

    with workshop.folder(bench.files, job.id) as place:
        try:
            made = _made(bench, asked.id, planned, place, wanted)
        except workshop.UnwantedError:
            return  # whoever stopped it has said so where it stands
    bench.keep(lambda session: _keep(session, job.id, asked.id, planned, made))


KINDS = {ADAPT: adapt}
"""For a worker of its own, so that reading goes on meanwhile."""


def _made(bench: Bench, adaptation: int, planned: Plan, place: Path, wanted: Callable[[], bool]) -> _Made:
    if not planned.groups:
        return _Made(refusal="none of the set's cells is there any more, or of a class that the bundle knows")
    not_cut = _cut_out(bench, adaptation, planned, place, wanted)
    cells = f"set-{planned.set_id}"
    (place / "cells").rename(place / cells)
    _write_groups(place / cells, planned)
    _say(bench, adaptation, {"stage": "learning"})
    parent = bench.files.bundle(planned.parent).absolute()
    asked = ["adapt", str(parent), cells, "--out", NEW, "--json", *(["--fine-tune"] * planned.fine_tune)]
    ended = workshop.run(
        place, "leukolens.cli.main", asked, stopping=bench.stopping, seconds=LONGEST, wanted=wanted
    )
    if ended.code == REFUSED:
        refusal = ended.complained.replace(str(parent), "the bundle")
        return _Made(refusal=refusal or "it was refused", not_cut=not_cut)
    if ended.code != 0:
        raise ServerError(
            f"the process that adapts ended with {ended.code}", "Check the memory that there is"
        )
    document = json.loads(ended.said)
    document["bundle"].pop("path")
    kept = bench.files.put_bundle(place / NEW)
    if kept != document["bundle"]["sha256"]:
        raise ServerError("the new bundle is not what was written", "Check the disk")
    return _Made(document, kept, not_cut=not_cut)


def _cut_out(bench: Bench, adaptation: int, planned: Plan, place: Path, wanted: Callable[[], bool]) -> int:
    """Writes the cells' images below ``cells``; gives how many fields could not be read again."""
    (place / "cells").mkdir()
    fields = [
        {"image": str(bench.files.path(sha256).absolute()), "sha256": sha256, "cells": cells}
        for sha256, cells in planned.fields.items()
    ]
    limits = bench.settings.limits
    document = {
        "framing": planned.framing, "memory": limits.reading_bytes, "pixels": limits.image_pixels,
        "fields": fields,
    }  # fmt: skip
    (place / "plan.json").write_text(json.dumps(document), "utf-8")
    problems = 0
    last = 0.0

    def told(line: str) -> None:
        nonlocal problems, last
        said = json.loads(line)
        problems += "problem" in said
        if time.monotonic() - last > SAY_EVERY:
            last = time.monotonic()
            progress = {"stage": "cutting", "done": said["done"], "total": len(fields)}
            _say(bench, adaptation, progress)

    ended = workshop.run(
        place, "leukolens.server.learning.cutting", ["plan.json"], stopping=bench.stopping, seconds=LONGEST,
        told=told, wanted=wanted,
    )  # fmt: skip
    if ended.code != 0:
        raise ServerError(
            f"the process that cuts cells out ended with {ended.code}", "Check the memory that there is"
        )
    return problems


def _write_groups(folder: Path, planned: Plan) -> None:
    with (folder / "groups.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("image", "group", "blind"))
        table.writerows((name, group, planned.blind.get(name, "")) for name, group in planned.groups.items())


def _say(bench: Bench, adaptation: int, progress: dict[str, Any]) -> None:
    def change(session: Session) -> None:
        session.get_one(Adaptation, adaptation).progress = progress

    bench.keep(change)


def _keep(session: Session, job_id: int, adaptation_id: int, planned: Plan, made: _Made) -> None:
    job = session.get_one(Job, job_id, with_for_update=True)
    if job.state != "running":
        return
    adaptation = session.get_one(Adaptation, adaptation_id)
    if made.bundle is not None and made.document is not None:
        if session.get(BundleFile, made.bundle) is None:
            session.add(BundleFile(sha256=made.bundle, name=made.document["bundle"]["name"][:200]))
            session.flush()
        adaptation.bundle_sha256, adaptation.document = made.bundle, made.document
    adaptation.refusal = made.refusal
    adaptation.grouped_by, adaptation.progress = planned.grouped_by, None
    verdict = made.document["verdict"] if made.document else "refused"
    queue.finish(
        session, job,
        {"verdict": verdict, "passed_over": dict(planned.passed_over), "fields_not_cut": made.not_cut},
    )  # fmt: skip
    after = {"adaptation": adaptation_id, "verdict": verdict, "bundle": made.bundle}
    trail.append(session, SERVER, "adapted", f"set {planned.set_id}", after=after)
