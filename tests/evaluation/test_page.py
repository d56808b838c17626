import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from leukolens.datasets.folder import Folder
from leukolens.evaluation.document import document
from leukolens.evaluation.evaluate import evaluate
from leukolens.evaluation.page import page
from leukolens.taxonomy import CLASS_KEYS


class _Reader(HTMLParser):
    """Collects exact values, interval ends, text, attributes; complains of tags that do not match."""

    VOID = frozenset({"meta", "br", "img", "wbr"})

    def __init__(self):
        super().__init__()
        self.values, self.ends, self.words, self.attributes, self.open = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "data":
            self.values.append(float(given["value"]))
        if "data-low" in given:
            self.ends.append((float(given["data-low"]), float(given["data-high"])))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def _read(html):
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def evaluation(pretender, blood_cells, tmp_path_factory):
    return evaluate(
        pretender(CLASS_KEYS, skill=0.7),
        blood_cells,
        "test",
        command="leukolens evaluate run <b> --out 'a & b'",
        ledger_path=tmp_path_factory.mktemp("ledger") / "ledger.csv",
    )


@pytest.fixture(scope="module")
def shown(evaluation, blood_cells):
    return page(evaluation, blood_cells.root)


def _measures(part):
    """Every {value, low, high} in a document."""
    if isinstance(part, dict):
        if part.keys() == {"value", "low", "high"}:
            yield part
        else:
            for inner in part.values():
                yield from _measures(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _measures(inner)


def test_the_page_holds_every_number_of_the_json(evaluation, shown):
    reader = _read(shown)
    measures = list(_measures(document(evaluation)))
    assert len(measures) > 30
    for measure in measures:
        assert measure["value"] is None or measure["value"] in reader.values
        assert measure["low"] is None or (measure["low"], measure["high"]) in reader.ends
    values = [measure["value"] for measure in measures] + [0.7]
    assert set(reader.values) <= set(values)


def test_what_a_person_reads_is_the_exact_value_rounded(shown):
    for value, text in re.findall(r'<data value="([^"]+)">([^<]+)</data>', shown):
        rounded = f"{100 * float(value):.1f}\u202f%" if "%" in text else f"{float(value):.3f}"
        assert text == rounded


def test_nothing_comes_from_outside(shown):
    reader = _read(shown)
    for tag, name, value in reader.attributes:
        if name in {"src", "href", "xlink:href", "action", "poster", "srcset", "data"}:
            assert value.startswith(("data:image/jpeg;base64,", "#")), (tag, name, value)
    assert not re.search(r"<script|<link|@import|url\((?!#)", shown)


def test_the_exact_command_and_all_text_are_escaped(shown):
    assert "leukolens evaluate run &lt;b&gt; --out &#x27;a &amp; b&#x27;" in shown
    assert "<b>" not in shown.replace("<figcaption><b>", "")


def test_variants_looks_and_plots_are_there(shown):
    text = " ".join(_read(shown).words)
    for words in (
        "The official test and its variants",
        "field not in TRAIN",
        "without monocyte _0_",
        "all, 7 classes open",
        "Look 1 at held-out data",
        "Too few photographs",
        "Expected calibration error",
        "accepted by the bundle",
        "c" * 64,
        "b" * 64,
    ):
        assert words in text
    assert len(re.findall(r"<svg role=", shown)) == 4


def test_mistakes_are_shown_as_pictures(evaluation, shown):
    assert shown.count("data:image/jpeg;base64,") == len(evaluation.mistakes) > 3
    for mistake in evaluation.mistakes:
        assert mistake.image.replace("/", "/<wbr>") in shown


def test_a_picture_that_is_gone_is_said_to_be(evaluation, tmp_path):
    assert page(evaluation, tmp_path).count("cannot be read") == len(evaluation.mistakes)


def test_one_class_without_a_mistake_or_an_interval_makes_a_page(pretender, tmp_path):
    (tmp_path / "lab" / "neutrophil").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "lab" / "neutrophil" / "a.png")
    reader = pretender(("neutrophil",))
    made = evaluate(reader, Folder(tmp_path / "lab"), "all", command="x", ledger_path=tmp_path / "ledger.csv")
    text = " ".join(_read(page(made, tmp_path / "lab")).words)
    assert "None: every answer is right." in text
    assert "fewer than 9 photographs" in text
    assert "classes open" not in text
