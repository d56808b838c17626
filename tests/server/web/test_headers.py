"""Every answer tells the browser to load nothing from elsewhere, and to keep nothing."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

ADDRESSES = ["/login", "/nothing", "/api/openapi.json", "/static/leukolens.css", "/account", "/people"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_answer_carries_them(browser: Any, staff: SimpleNamespace, address: str) -> None:
    for visit in (browser(), browser().sign_in("administrator")):
        headers = visit.get(address).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert policy["img-src"] == "'self' data: blob:"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "strict-transport-security" not in headers
        assert "server" not in headers


def test_a_refusal_at_the_gate_carries_them_too(browser: Any) -> None:
    assert "content-security-policy" in browser().get("/login", headers={"Host": "evil.example"}).headers
    assert "content-security-policy" in browser().post("/login", headers={"Origin": "http://evil"}).headers


def test_pages_are_not_kept_and_the_servers_own_files_are_asked_for_again(
    browser: Any, staff: SimpleNamespace
) -> None:
    visit = browser().sign_in("administrator")
    for address in ("/account", "/people", "/nothing"):
        assert visit.get(address).headers["cache-control"] == "no-store"
    assert visit.get("/static/leukolens.css").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("address", ["/login", "/account", "/people", "/people/1", "/nothing"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_no_page_has_script_or_style_of_its_own(
    browser: Any, staff: SimpleNamespace, address: str, language: str
) -> None:
    visit = browser() if address == "/login" else browser().sign_in("administrator")
    text = visit.get(address, params={"language": language}).text
    assert f'<html lang="{language}"' in text
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)


def test_the_description_of_the_api_needs_no_page_from_elsewhere(browser: Any) -> None:
    assert browser().get("/api/openapi.json").json()["info"]["title"] == "Leukolens"
    for address in ("/docs", "/redoc", "/openapi.json"):
        assert browser().get(address).status_code == 404
