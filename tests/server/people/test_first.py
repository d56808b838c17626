"""The first administrator: with the code from the terminal, and once."""

from __future__ import annotations

import pytest

from leukolens.errors import Missing, Refused, Unfit
from leukolens.server.people import first, users
from leukolens.server.people.first import FirstCode
from leukolens.server.store.database import Database

PASSWORD = "a fine smear on glass"


def test_codes_differ_and_are_long_enough_not_to_be_guessed() -> None:
    codes = {FirstCode().text for _ in range(100)}
    assert len(codes) == 100
    assert {len(code.replace("-", "")) for code in codes} == {16}


def test_a_code_fits_however_it_is_typed() -> None:
    code = FirstCode()
    assert code.fits(code.text)
    assert code.fits(f"  {code.text.lower().replace('-', ' ')} ")
    assert not code.fits("")
    assert not code.fits(code.text[:-1])
    assert not code.fits(FirstCode().text)
    assert not code.fits("ä" * 16)
    assert not code.fits("\ud800")


def test_it_makes_an_administrator_once(database: Database) -> None:
    code = FirstCode()
    with database.writing() as session:
        user = first.make(session, code, code.text, "anna", "Anna Freud", PASSWORD)
        assert user.role == "administrator"
    with database.writing() as session, pytest.raises(Missing):
        first.make(session, code, code.text, "berta", "Berta", PASSWORD)


def test_a_wrong_code_makes_nobody(database: Database) -> None:
    code = FirstCode()
    with database.writing() as session, pytest.raises(Refused):
        first.make(session, code, FirstCode().text, "anna", "Anna Freud", PASSWORD)
    with database.reading() as session:
        assert not users.anybody(session)


def test_a_weak_password_does_not_use_the_code_up(database: Database) -> None:
    code = FirstCode()
    with database.writing() as session, pytest.raises(Unfit):
        first.make(session, code, code.text, "anna", "Anna Freud", "short")
    with database.writing() as session:
        first.make(session, code, code.text, "anna", "Anna Freud", PASSWORD)
