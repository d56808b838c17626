"""The page that describes the API says all that the OpenAPI document does, and loads nothing from elsewhere."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest

from leukolens.server.web.api.reference import kind_of
from leukolens.server.web.text import translate


@pytest.mark.parametrize("language", ["en", "de"])
def test_it_has_every_operation_and_every_model(
    document: dict[str, Any], browser: Any, language: str
) -> None:
    answer = browser().get("/api/", params={"language": language})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = re.sub("</?code>", "`", unescape(answer.text))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f'id="{method.upper()}{path}"' in page
            assert operation["description"] in page
    for name, schema in document["components"]["schemas"].items():
        assert (f'id="{name}"' in page) == ("properties" in schema)
    assert translate(language, "api.problems_means") in page
    assert "/api/openapi.json" in page


def test_its_links_lead_to_something_on_it(browser: Any) -> None:
    page = browser().get("/api/").text
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)
    assert set(re.findall(r'(?:src|href)="(https?:)?//', page)) == set()


def test_it_is_shown_to_a_person_who_is_signed_in_with_the_name(browser: Any, staff: Any) -> None:
    assert ">reader</span>" in browser().sign_in("reader").get("/api/").text


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, ("integer from 1 to 9", "")),
        ({"anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]}, ("string to 4 or null", "")),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Cell"}}, ("list of Cell", "Cell")),
        ({"anyOf": [{"$ref": "#/x/Cell"}, {"type": "null"}]}, ("Cell or null", "Cell")),
        ({"type": "string", "enum": ["open", "signed"]}, ("open, signed", "")),
        ({"type": "string", "format": "date-time"}, ("date-time", "")),
        ({}, ("anything", "")),
    ],
)  # fmt: skip
def test_what_a_value_can_be_is_said_in_words(schema: dict[str, Any], kind: tuple[str, str]) -> None:
    assert kind_of(schema) == kind
