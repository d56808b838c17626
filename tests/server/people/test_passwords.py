"""Passwords: what is refused, what is kept, and that an unknown name takes as long as a known one."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from leukolens.errors import Unfit
from leukolens.server.people import passwords

GOOD = "a fine smear on glass"


def test_what_is_kept_is_argon2id_salted_and_says_its_parameters() -> None:
    first, second = passwords.hashed(GOOD), passwords.hashed(GOOD)
    assert first.startswith("$argon2id$v=19$")
    assert first != second
    assert GOOD not in first


def test_the_shipped_parameters_are_those_of_rfc_9106(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    hasher = passwords.HASHER
    assert (hasher.type.name, hasher.time_cost, hasher.memory_cost, hasher.parallelism) == (
        "ID",
        3,
        65_536,
        4,
    )


def test_only_the_password_itself_fits() -> None:
    kept = passwords.hashed(GOOD)
    assert passwords.verify(kept, GOOD)
    assert not passwords.verify(kept, GOOD + " ")
    assert not passwords.verify(kept, "")
    assert not passwords.verify(kept, GOOD.upper())


def test_an_umlaut_fits_however_the_keyboard_composes_it() -> None:
    assert passwords.verify(passwords.hashed("grüne Blättchen"), "gru\u0308ne Bla\u0308ttchen")


def test_what_is_no_text_or_no_hash_fits_nothing_and_breaks_nothing() -> None:
    assert not passwords.verify(passwords.hashed(GOOD), "\ud800 half a pair")
    assert not passwords.verify("none", GOOD)


def test_a_longer_one_than_may_be_chosen_never_fits() -> None:
    kept = passwords.hashed("x" * passwords.LONGEST)
    assert passwords.verify(kept, "x" * passwords.LONGEST)
    assert not passwords.verify(kept, "x" * (passwords.LONGEST + 1))


def test_nobodys_password_is_worked_on_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002
            seen.append(str(hash))
            return super().verify(hash, password)

    counting = Counting(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "HASHER", counting)
    passwords._decoy.cache_clear()
    assert not passwords.verify(None, GOOD)
    assert not passwords.verify(None, "nobody's")
    assert len(seen) == 2
    assert not counting.check_needs_rehash(seen[0])  # so it takes what a real one takes


def test_a_hash_of_other_parameters_is_outdated() -> None:
    assert not passwords.outdated(passwords.hashed(GOOD))
    assert passwords.outdated(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(GOOD))


@pytest.mark.parametrize(
    "password",
    ["", "short", "123456789", "aaaaaaaaaaaaaa", "antonvonleeuwenhoek", "AntonVonLeeuwenhoek123", "x" * 1025],
)
def test_a_password_that_is_guessed_too_easily_is_refused(password: str) -> None:
    with pytest.raises(Unfit) as refused:
        passwords.must_be_fit(password, "antonvonleeuwenhoek")
    assert password[:9] == "" or password not in str(refused.value)


@pytest.mark.parametrize("password", ["1234567890", GOOD, "antonvonleeuwenhoek microscope"])
def test_others_may_be_chosen(password: str) -> None:
    passwords.must_be_fit(password, "antonvonleeuwenhoek")
