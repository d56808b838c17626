"""The API answers as its description says, whatever it is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi import checks

from leukolens.server.settings import Settings
from leukolens.server.web.app import create_app

DOCUMENT = create_app(Settings(Path("nowhere"))).openapi()
OPERATIONS = sorted(
    ((method, path) for path, methods in DOCUMENT["paths"].items() for method in methods),
    key=lambda one: one[1].endswith("/deletion"),  # which takes the sample away that the others are tried on
)
AS_DESCRIBED = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
)
FEW, MANY = 4, 40
HERE = {"Host": "127.0.0.1"}
GOOD, BAD = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
Attack = Callable[[GenerationMode, int], None]


@pytest.fixture
def attack(app: FastAPI, program: Callable[..., Any], secret: Callable[..., str], sample: str) -> Attack:
    """Sends every operation so many requests that fit its description, or as many that do not."""
    described = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=HERE)
    ids = [cell["id"] for cell in program().get(f"samples/{sample}/cells").json()["cells"]]
    headers = {"Authorization": f"Bearer {secret('administrator')}", **HERE}

    def tried(case: Any, mode: GenerationMode) -> None:
        refused = (checks.negative_data_rejection,) if mode is BAD else ()
        case.call_and_validate(headers=headers, checks=(*AS_DESCRIBED, *refused))
        if "key" in case.path_parameters:  # and once more of the sample that there is
            case.path_parameters["key"] = sample
            if isinstance(case.body, dict) and "cells" in case.body and mode is GOOD:
                case.body["cells"] = ids[:2]
            case.call_and_validate(headers=headers, checks=AS_DESCRIBED)

    def all_of_them(mode: GenerationMode, examples: int) -> None:
        for method, path in OPERATIONS:
            cases = described[path][method].as_strategy(generation_mode=mode)
            how = settings(
                max_examples=examples, deadline=None, derandomize=examples == FEW, database=None,
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            how(given(case=cases)(lambda case: tried(case, mode)))()

    return all_of_them


@pytest.mark.parametrize(("kind", "mode"), [("sqlite", GOOD), ("postgresql", BAD)])
def test_every_operation_answers_as_described(attack: Attack, mode: GenerationMode) -> None:
    attack(mode, FEW)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("mode", [GOOD, BAD])
def test_every_operation_answers_as_described_at_length(attack: Attack, mode: GenerationMode) -> None:
    attack(mode, MANY)
