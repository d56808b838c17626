"""What the pages say: the same things in every language."""

from pathlib import Path

import pytest

from leukolens.errors import ServerError
from leukolens.server.web import text
from leukolens.server.web.text import DEFAULT, LANGUAGES, placeholders, texts, translate

OTHERS = [language for language in LANGUAGES if language != DEFAULT]


@pytest.mark.parametrize("language", OTHERS)
def test_languages_have_the_same_texts_with_the_same_placeholders(language: str) -> None:
    assert {key: placeholders(said) for key, said in texts(language).items()} == {
        key: placeholders(said) for key, said in texts(DEFAULT).items()
    }


@pytest.mark.parametrize("language", OTHERS)
def test_languages_differ(language: str) -> None:
    same = [key for key, said in texts(language).items() if said == texts(DEFAULT)[key]]
    assert len(same) < len(texts(DEFAULT)) / 4


def test_the_number_decides_the_form() -> None:
    assert translate("en", "field.cells", count=1) == "1 cell"
    assert translate("en", "field.cells", count=0) == "0 cells"
    assert translate("de", "field.cells", count=2) == "2 Zellen"


def test_an_unknown_language_is_english() -> None:
    assert translate("xx", "base.samples") == "Samples"


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(ServerError, match=r"no text 'base\.nothing'"):
        translate("en", "base.nothing")
    with pytest.raises(ServerError, match="needs a value for 'place'"):
        translate("en", "field.place")


def test_a_key_that_two_files_have_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("one.en.toml", "two.en.toml"):
        (tmp_path / name).write_text('[base]\nskip = "x"\n')
    monkeypatch.setattr(text, "FOLDER", tmp_path)
    texts.cache_clear()
    try:
        with pytest.raises(ServerError, match=r"two\.en\.toml says 'base\.skip' a second time"):
            texts("en")
    finally:
        texts.cache_clear()
