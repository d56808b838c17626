"""An evaluation as one page that needs nothing beside it."""

from __future__ import annotations

from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from leukolens.evaluation import figures
from leukolens.evaluation.answers import Mistake
from leukolens.evaluation.evaluate import Evaluation
from leukolens.evaluation.intervals import RESAMPLES, SEED
from leukolens.evaluation.markup import (
    between,
    class_name,
    facts,
    file_name,
    measured,
    named,
    percent,
    picture,
    plain,
    plot,
    table,
    whisker,
)
from leukolens.evaluation.measures import Headline
from leukolens.evaluation.notes import notes
from leukolens.evaluation.pictures import thumbnail
from leukolens.taxonomy import cell_class

MOST_BESIDE = 5
DECISIONS = {
    "accept": "accepted unseen",
    "review": "sent to a person",
    "unknown": "called unknown",
    "no cell": "no cell found",
}


def page(evaluation: Evaluation, root: Path) -> str:
    """The page, as HTML.

    Args:
        evaluation: To show.
        root: The data set's folder, for the pictures of mistakes.
    """
    template = resources.files("leukolens.evaluation").joinpath("page.html").read_text(encoding="utf-8")
    line = evaluation.headline
    when = datetime.fromisoformat(evaluation.date).strftime("%Y-%m-%d %H:%M UTC")
    return Template(template).substitute(
        title=escape(f"{evaluation.card.name} on {evaluation.title}, {evaluation.split}"),
        lede=escape(
            f"{line.images:,} images of {line.groups:,} photographs · seed {evaluation.card.seed} · "
            f"bundle {evaluation.bundle_sha256[:12]} · code {evaluation.commit} · {when}"
        ),
        cards=_cards(line),
        notes="".join(
            f"<li{' class=warn' if note.warning else ''}>{escape(note.text)}</li>"
            for note in notes(evaluation)
        ),
        sections="".join(
            (
                _variants(evaluation),
                _classes(evaluation),
                _trust(evaluation),
                _mistakes(evaluation, root),
                _method(evaluation),
            )
        ),
    )


def _cards(line: Headline) -> str:
    asked = (
        ("Accuracy", f"of {line.images:,} images", line.accuracy),
        ("Balanced accuracy", "mean over the classes", line.balanced_accuracy),
        ("Photograph accuracy", f"of {line.groups:,}, by most copies", line.photograph_accuracy),
    )
    ends = [measure.interval.low if measure.interval else measure.value for _, _, measure in asked]
    start = max(0.0, int(10 * min([1.0, *ends]) - 0.5) / 10)
    return "".join(
        f'<div class="card"><div class="what">{name}</div><div class="big">{percent(measure.value)}</div>'
        f'{whisker(measure, start)}<div class="between">{between(measure)} &middot; {how}</div></div>'
        for name, how, measure in asked
    )


def _variants(evaluation: Evaluation) -> str:
    if not evaluation.variants and not evaluation.unrestricted:
        return ""
    rows = [
        (variant.name, variant.description + _left_out(len(variant.left_out)), variant.headline)
        for variant in evaluation.variants
    ] or [("all", "Every image", evaluation.headline)]
    if evaluation.unrestricted:
        name = f"all, {len(evaluation.card.classes)} classes open"
        text = "The same images, with every class of the bundle among the answers"
        rows.append((name, text, evaluation.unrestricted))
    body = [
        f"<tr{' class=lead' if index == 0 else ''}>{named(escape(name), text)}"
        f"<td>{line.images:,}</td><td>{line.groups:,}</td>{measured(line.accuracy)}"
        f"{measured(line.balanced_accuracy)}{measured(line.photograph_accuracy)}</tr>"
        for index, (name, text, line) in enumerate(rows)
    ]
    title = (
        "The official test and its variants" if evaluation.variants else "With fewer classes, and with all"
    )
    head = ("", "images", "photographs", "accuracy", "balanced accuracy", "photograph accuracy")
    return f"<h2>{title}</h2>{table(head, body)}"


def _left_out(count: int) -> str:
    return f" ({count} photograph{'s' if count > 1 else ''} left out)" if count else ""


def _classes(evaluation: Evaluation) -> str:
    body = [
        f"<tr><td>{class_name(line.key)}</td><td>{line.images:,}</td>"
        f'<td>{line.groups:,}<span class="between">{line.right_groups:,} right</span></td>'
        f"{measured(line.precision)}{measured(line.recall)}{measured(line.f1)}"
        f"{measured(line.area, share=False)}</tr>"
        for line in evaluation.classes
    ]
    head = ("", "images", "photographs", "precision", "recall", "F1", "area under ROC")
    confusion = plot(
        figures.svg(figures.confusion_figure(evaluation.predictions), "confusion"),
        "Confusion matrix",
        "Images, and their share of the true class.",
        wide=len(evaluation.asked) > MOST_BESIDE,
    )
    roc = plot(
        figures.svg(figures.roc_figure(evaluation.predictions), "roc"),
        "Receiver operating characteristic",
        "Each class against the rest. An image without a cell scores below all others.",
    )
    return (
        f"<h2>Class by class</h2>{table(head, body)}"
        '<p class="quiet">Below each figure its 95 % interval; a class of fewer than nine photographs has '
        "none. What is called a photograph here is a group of the data set: source photograph, slide, or "
        "cluster of near-identical images.</p>"
        f'<div class="pair">{confusion}{roc}</div>'
    )


def _trust(evaluation: Evaluation) -> str:
    calibration, threshold = evaluation.calibration, evaluation.card.judgement.accept_above
    accepted = next((line for line in evaluation.decisions if line.decision == "accept"), None)
    reliability = plot(
        figures.svg(figures.reliability_figure(calibration), "reliability"),
        "Reliability",
        "The probability of an answer against how often it is right.",
    )
    coverage = plot(
        figures.svg(figures.coverage_figure(evaluation.coverage, accepted), "coverage"),
        "Accuracy against coverage",
        "The surest answers first; 95 % of resamples stay in the band. Measured here, promised nowhere.",
    )
    measures = (
        ("Expected calibration error", "15 bins of equal mass", calibration.expected_error),
        ("Brier score", "0 to 2; an image without a cell scores as knowing nothing", calibration.brier),
        ("Log loss", "in nats; the same", calibration.log_loss),
    )
    body = [
        f"<tr>{named(escape(name), how)}{measured(measure, share=False)}</tr>"
        for name, how, measure in measures
    ]
    taken = [
        f"<tr><td>{escape(DECISIONS.get(line.decision, line.decision))}</td><td>{line.images:,}</td>"
        f"{measured(line.share)}{measured(line.accuracy)}</tr>"
        for line in evaluation.decisions
    ]
    return (
        "<h2>When to believe it</h2>"
        f'<div class="pair"><div>{table(("calibration", ""), body)}</div>'
        f"<div>{table(('decision', 'images', 'share', 'right'), taken)}"
        f'<p class="quiet">The bundle accepts from a probability of {plain(threshold)} on. Decisions, and '
        "right and wrong beside them, are over all of its classes.</p></div></div>"
        f"{_sets(evaluation)}"
        f'<div class="pair">{reliability}{coverage}</div>'
    )


def _sets(evaluation: Evaluation) -> str:
    """Coverage of the classes that a cell may be; nothing where the bundle says none."""
    if not evaluation.sets:
        return ""
    rows = [
        f"<tr><td>{escape(cell_class(line.label).name)}</td><td>{line.images:,}</td>{measured(line.coverage)}"
        f"<td>{line.size:.2f}</td><td>{100 * line.empty:.1f}\u202f%</td></tr>"
        for line in evaluation.sets
    ]
    wanted = plain(evaluation.card.judgement.set_coverage)
    return (
        f"{table(('class', 'images', 'set holds it', 'classes in a set', 'empty'), rows)}"
        f'<p class="quiet">The set of classes that a cell may be was made to hold the true one in {wanted} of cells, '
        "class by class, in each laboratory that the bundle knows; in another this is what was measured.</p>"
    )


def _mistakes(evaluation: Evaluation, root: Path) -> str:
    if not evaluation.mistakes:
        return "<h2>Worst mistakes</h2><p>None: every answer is right.</p>"
    shown = "".join(mistake_card(mistake, root) for mistake in evaluation.mistakes)
    return (
        "<h2>Worst mistakes</h2><p>The surest wrong answer about each photograph, the surest first, and the "
        f'square that was framed, in the colour of the answer.</p><div class="mistakes">{shown}</div>'
    )


def mistake_card(mistake: Mistake, root: Path) -> str:
    """A wrong answer with its picture; ``root`` is the data set's folder."""
    truth = cell_class(mistake.truth)
    colour, called = "#666666", "no cell found"
    if mistake.predicted:
        answer = cell_class(mistake.predicted)
        colour, called = (
            answer.colour,
            f"called {answer.name.lower()} at {100 * mistake.confidence:.1f}\u202f%",
        )
    copies = f"{mistake.wrong} of {mistake.copies} copies wrong" if mistake.copies > 1 else "a single image"
    decision = f"{DECISIONS.get(mistake.decision, mistake.decision)}<br>" if mistake.predicted else ""
    shown = picture(thumbnail(root / mistake.image, mistake.box, colour), f"{truth.name}, {called}")
    return (
        f'<div class="mistake">{shown}<p class="verdict">{class_name(mistake.truth)},<br>{escape(called)}</p>'
        f'<p class="source">{decision}{copies}<br>{file_name(mistake.image)}</p></div>'
    )


def _method(evaluation: Evaluation) -> str:
    card, judgement = evaluation.card, evaluation.card.judgement
    learned = "; ".join(
        f"{part.name} {'+'.join(part.splits)}, {part.images:,} images of {part.groups:,} groups, "
        f"{part.licence}" + (f" (left out: {part.left_out})" if part.left_out else "")
        for part in card.learned_from
    )
    knows = ", ".join(cell_class(key).name.lower() for key in card.classes)
    pairs = (
        ("Network", f"{card.network}, {card.parameters:,} parameters; knows {knows}"),
        ("Recipe", f"{card.recipe}, seed {card.seed}, sha256 {card.recipe_sha256}"),
        ("Learned from", learned or "nothing that its card names"),
        ("Bundle", f"{card.name}, sha256 {evaluation.bundle_sha256}"),
        ("Temperature", f"{judgement.temperature:.3f}, chosen on {judgement.chosen_on or 'nothing'}"),
        (
            "Intervals",
            f"95 %, percentiles of {RESAMPLES:,} resamples of photographs, drawn within their class, seed "
            f"{SEED}. What never went wrong in the sample cannot go wrong in a resample, so an interval that "
            "ends at 100 % is too narrow there.",
        ),
        ("Photographs", "Called what most copies are; a tie goes to the higher mean probability."),
        ("Probabilities", "Every image's are in evaluation.json; any figure here can be computed from them."),
    )
    return f"<h2>How it was measured</h2><pre>{escape(evaluation.command)}</pre>{facts(pairs)}"
