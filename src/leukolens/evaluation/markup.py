"""Figures as HTML: a value with its interval, a table, a row of facts. Everything is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from math import isnan

from leukolens.evaluation.measures import Measure
from leukolens.taxonomy import cell_class

NOTHING = "–"


def percent(value: float) -> str:
    """A share as a person reads it, its exact value beside it for programs."""
    if isnan(value):
        return NOTHING
    return f'<data value="{value!r}">{100 * value:.1f}\u202f%</data>'


def plain(value: float) -> str:
    """A number with three decimals, its exact value beside it."""
    return NOTHING if isnan(value) else f'<data value="{value!r}">{value:.3f}</data>'


def between(measure: Measure, *, share: bool = True, reason: str = "fewer than 9 photographs") -> str:
    """The interval, or why there is none."""
    interval = measure.interval
    if isnan(measure.value):
        return ""
    if interval is None:
        return f'<span class="between">{escape(reason)}</span>' if reason else ""
    low, high = ((f"{100 * end:.1f}" if share else f"{end:.3f}") for end in (interval.low, interval.high))
    ends = f'data-low="{interval.low!r}" data-high="{interval.high!r}"'
    text = f"{low} to {high}" if interval.low < interval.high else "every resample alike"
    return f'<span class="between" {ends}>{text}</span>'


def measured(measure: Measure, *, share: bool = True, reason: str = "") -> str:
    """A table cell: the value, and below it the interval."""
    value = percent(measure.value) if share else plain(measure.value)
    return f"<td>{value}{between(measure, share=share, reason=reason)}</td>"


def named(name: str, text: str) -> str:
    """A table cell: a name, which is HTML, and below it a text."""
    return f'<td>{name}<span class="sub">{escape(text)}</span></td>'


def file_name(name: str) -> str:
    """The name of a file, which may be broken between its folders."""
    return escape(name).replace("/", "/<wbr>")


def whisker(measure: Measure, start: float) -> str:
    """The value as a dot on a line from ``start`` to 1, its interval as a bar."""
    if isnan(measure.value) or start >= 1:
        return ""

    def x(value: float) -> str:
        return f"{1 + 98 * min(max((value - start) / (1 - start), 0), 1):.2f}%"

    interval = measure.interval
    bar = (
        f'<line x1="{x(interval.low)}" x2="{x(interval.high)}" y1="7" y2="7" stroke="#0072b2" '
        'stroke-opacity=".35" stroke-width="6" stroke-linecap="round"/>'
        if interval
        else ""
    )
    return (
        '<svg class="whisker" aria-hidden="true"><line x1="1%" x2="99%" y1="7" y2="7" stroke="#d9dee4"/>'
        f'{bar}<circle cx="{x(measure.value)}" cy="7" r="4" fill="#0072b2"/></svg>'
    )


def class_name(key: str) -> str:
    """The class's name behind a dot of its colour."""
    kind = cell_class(key)
    return f'<span class="swatch" style="background:{kind.colour}"></span>{escape(kind.name)}'


def table(head: Sequence[str], rows: Iterable[str]) -> str:
    """A table of rows that are HTML already; the head is text."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names beside values, both text."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in pairs)}</dl>"


def plot(svg: bytes, title: str, caption: str, *, wide: bool = False) -> str:
    """A drawn figure with its title and caption, which are text; a wide one gets a row of its own."""
    described = svg.decode().replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)
    text = f"<figcaption><b>{escape(title)}</b>{escape(caption)}</figcaption>"
    return f"<figure{' class=wide' if wide else ''}>{described}{text}</figure>"


def picture(jpeg: bytes | None, description: str) -> str:
    """A picture inside the page, or a field that says it is gone."""
    if jpeg is None:
        return '<div class="gone">cannot be read</div>'
    encoded = base64.b64encode(jpeg).decode()
    return f'<img alt="{escape(description)}" src="data:image/jpeg;base64,{encoded}">'
