"""Laboratories never seen, as one page that needs nothing beside it: labs by recipes, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from leukolens.evaluation import figures
from leukolens.evaluation.calibration import FEWEST_GROUPS
from leukolens.evaluation.intervals import RESAMPLES, SEED
from leukolens.evaluation.markup import class_name, facts, measured, named, percent, plot, table
from leukolens.evaluation.measures import Measure
from leukolens.evaluation.page import mistake_card
from leukolens.evaluation.trust import calibration_measures, coverage_band, decision_measures
from leukolens.evaluation.unseen_answers import Asked
from leukolens.evaluation.unseen_document import Rotated
from leukolens.evaluation.unseen_labs import LabFigures, SeedMean, difference, mean_over_labs, restricted
from leukolens.evaluation.unseen_notes import count_of, unseen_notes
from leukolens.taxonomy import cell_class

MISTAKES_A_LAB = 8
FEW = f"fewer than {FEWEST_GROUPS} groups"


def unseen_page(rotated: Rotated, root: Path) -> str:
    """The page, as HTML.

    Args:
        rotated: To show.
        root: The folder of data sets, for the pictures of mistakes.
    """
    text = resources.files("leukolens.evaluation").joinpath("page.html").read_text(encoding="utf-8")
    # Four laboratories by any number of recipes are a table, no three cards.
    template = Template(text.replace('<div class="cards">$cards</div>', ""))
    inside = f", inside the rotation that leaves out {rotated.outer}" if rotated.outer else ""
    seeds = sorted({asked.card.seed for own in rotated.figures for asked in own.asked})
    return template.substitute(
        title=escape(f"Laboratories never seen{inside}"),
        lede=escape(
            f"{len(rotated.labs)} labs left out in turn · {', '.join(rotated.methods)} · "
            f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        ),
        notes="".join(
            f"<li{' class=warn' if note.warning else ''}>{escape(note.text)}</li>"
            for note in unseen_notes(rotated)
        ),
        sections="".join(
            (
                _by_lab(rotated, "Accuracy", "accuracy"),
                _by_lab(rotated, "Balanced accuracy", "balanced_accuracy"),
                *(_lab(rotated, lab, root) for lab in rotated.labs),
                _method(rotated),
            )
        ),
    )


def _by_lab(rotated: Rotated, title: str, name: str) -> str:
    """Laboratories down, recipes across, what each recipe gains on the first below its figure."""
    rows = []
    for lab in rotated.labs:
        found = {own.method: own for own in rotated.of(lab)}
        first = rotated.of(lab)[0]
        cells = "".join(
            _cell(getattr(found[method], name), _gain(found[method], first, name))
            if method in found
            else "<td>–</td>"
            for method in rotated.methods
        )
        dataset = first.asked[0].lab.dataset
        about = f"{dataset} {first.asked[0].split}: {first.images:,} images, {len(first.scored)} classes"
        rows.append(f"<tr>{named(escape(lab), about)}{cells}</tr>")
    means = "".join(
        f"<td>{percent(mean_over_labs(rotated.figures, method, name))}</td>"  # type: ignore[arg-type]
        for method in rotated.methods
    )
    rows.append(f"<tr class=lead>{named('mean', 'every lab weighing the same')}{means}</tr>")
    return f"<h2>{title}</h2>{table(('never seen', *rotated.methods), rows)}"


def _lab(rotated: Rotated, lab: str, root: Path) -> str:
    shown = rotated.of(lab)
    first = shown[0]
    head = ("", *(own.method for own in shown))
    lines: tuple[tuple[str, str, Callable[[LabFigures], SeedMean | None], bool], ...] = (
        ("Without monocyte _0_", "accuracy; its label is doubtful", lambda own: own.settled, True),
        ("The 80 % most certain", "accuracy", lambda own: own.most_certain, True),
        ("Accepted unseen", "share of images", lambda own: own.accepted, True),
        ("Right among them", "all classes of the model open", lambda own: own.accepted_accuracy, True),
        ("Expected calibration error", "15 bins of equal mass", lambda own: own.expected_error, False),
        ("Brier score", "0 to 2, lower is better", lambda own: own.brier, False),
    )
    body = [
        f"<tr>{named(escape(name), how)}{''.join(_cell(get(own), share=share) for own in shown)}</tr>"
        for name, how, get, share in lines
        if any(get(own) for own in shown)
    ]
    return (
        f"<h2>{escape(lab)} never seen</h2>"
        f"<p>{escape(_asked_there(first))}</p>{table(head, body)}"
        f"{_classes(shown)}{_shown_only(shown)}"
        f"{''.join(_plots(own) for own in shown)}"
        f"{''.join(_mistakes(own, root) for own in shown)}"
    )


def _asked_there(own: LabFigures) -> str:
    asked = own.asked[0]
    answers = ", ".join(cell_class(key).name.lower() for key in own.open)
    return (
        f"{own.images:,} images of {own.groups:,} groups of {asked.lab.dataset} {asked.split}; the answers "
        f"open were {answers}."
    )


def _classes(shown: tuple[LabFigures, ...]) -> str:
    keys = list(dict.fromkeys(line.key for own in shown for line in own.recalls))
    rows = []
    for key in keys:
        found = [next((line for line in own.recalls if line.key == key), None) for own in shown]
        line = next(line for line in found if line)
        cells = "".join(_cell(line.recall if line else None) for line in found)
        rows.append(
            f"<tr><td>{class_name(key)}</td><td>{line.images:,}</td><td>{line.groups:,}</td>{cells}</tr>"
        )
    return table(("recall", "images", "groups", *(own.method for own in shown)), rows)


def _shown_only(shown: tuple[LabFigures, ...]) -> str:
    rows = []
    for own in shown:
        for line in own.unscored:
            called = ", ".join(
                f"{cell_class(name).name.lower() if name else 'no cell'} {count_of(count)}"
                for name, count in line.called
            )
            rows.append(
                f"<tr><td>{class_name(line.key)}</td><td>{line.images:,}</td><td>{escape(own.method)}</td>"
                f"<td>{escape(called)}</td></tr>"
            )
    if not rows:
        return ""
    return (
        '<p class="quiet">Not scored, but shown: what cells of other classes were called.</p>'
        f"{table(('class', 'images', 'recipe', 'called'), rows)}"
    )


def _plots(own: LabFigures) -> str:
    answers, predictions = restricted(own.asked[0])
    decisions = decision_measures(answers.predictions, answers.decisions)
    accepted = next((line for line in decisions if line.decision == "accept"), None)
    name, seed = f"{own.lab}-{own.method}", f"Seed {own.asked[0].card.seed}."
    drawn = (
        ("Confusion matrix", figures.confusion_figure(predictions), "True class down, answer across."),
        ("Reliability", figures.reliability_figure(calibration_measures(predictions)), "Said against true."),
        (
            "Accuracy against coverage",
            figures.coverage_figure(coverage_band(predictions), accepted),
            "The most certain answers first. Measured, never promised.",
        ),
    )
    plots = "".join(
        plot(figures.svg(figure, f"{name}-{title}"), f"{title}: {own.method}", f"{caption} {seed}")
        for title, figure, caption in drawn
    )
    return f'<div class="pair" style="grid-template-columns: repeat(3, 1fr)">{plots}</div>'


def _mistakes(own: LabFigures, root: Path) -> str:
    folder = root / own.asked[0].lab.dataset
    if not own.mistakes:
        return f"<p>{escape(own.method)}: no mistake.</p>"
    cards = "".join(mistake_card(mistake, folder) for mistake in own.mistakes[:MISTAKES_A_LAB])
    return (
        f"<h3>What {escape(own.method)} got wrong</h3><p class=quiet>The surest wrong answer about each group, "
        f'the surest first, seed {own.asked[0].card.seed}.</p><div class="mistakes">{cards}</div>'
    )


def _method(rotated: Rotated) -> str:
    pairs = [
        ("Intervals", f"95 %, percentiles of {RESAMPLES:,} resamples of groups, drawn within their class, seed "
         f"{SEED}. Several seeds share the draws and are averaged; what another seed would change is not in the "
         "interval, and stands below the figure. Gains are paired: both recipes are resampled alike."),
        ("Epoch", "The last. Nothing of the lab left out chooses anything."),
    ]  # fmt: skip
    pairs += [(f"{own.method}, {own.lab}", _run(asked)) for own in rotated.figures for asked in own.asked]
    return f"<h2>How it was measured</h2><pre>{escape(rotated.command)}</pre>{facts(pairs)}"


def _run(asked: Asked) -> str:
    card = asked.card
    learned = ", ".join(
        f"{part.name} {'+'.join(part.splits)} ({part.images:,} images)" for part in card.learned_from
    )
    finding = card.finding
    framed = (
        f"a detector that learned from {', '.join(part.name for part in finding.learned_from)}"
        if finding
        else ("the nucleus finder, which learns from nothing")
    )
    return (
        f"seed {card.seed}; learned from {learned}; framed by {framed}; temperature "
        f"{card.judgement.temperature:.3f}, accepted from {card.judgement.accept_above:.3f}, chosen on "
        f"{card.judgement.chosen_on}; recipe {card.recipe_sha256[:12]}, bundle {asked.bundle_sha256[:12]}, code "
        f"{asked.commit}, asked {asked.date}"
    )


def _gain(own: LabFigures, first: LabFigures, name: str) -> str:
    gained = difference(own, first) if own is not first else None
    if gained is None:
        return ""
    measure: Measure = gained[0 if name == "accuracy" else 1]
    interval = measure.interval
    ends = (
        f' <span data-low="{interval.low!r}" data-high="{interval.high!r}">'
        f"({100 * interval.low:+.1f} to {100 * interval.high:+.1f})</span>"
        if interval
        else ""
    )
    return (
        f'<span class="sub"><data value="{measure.value!r}">{100 * measure.value:+.1f}</data>{ends} against '
        f"{escape(first.method)}</span>"
    )


def _cell(figure: SeedMean | None, below: str = "", *, share: bool = True) -> str:
    if figure is None:
        return "<td>–</td>"
    seeds = ""
    if len(figure.values) > 1:
        each = " ".join(f'<data value="{value!r}">{value:.3f}</data>' for value in figure.values)
        seeds = f'<span class="sub">seeds {each}</span>'
    cell = measured(figure.mean, share=share, reason=FEW)
    return f"{cell.removesuffix('</td>')}{seeds}{below}</td>"
