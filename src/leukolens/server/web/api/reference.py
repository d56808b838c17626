"""The API's description as a page: made from the OpenAPI document alone, so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from leukolens.server.web.context import API
from leukolens.server.web.rendering import render

router = APIRouter(include_in_schema=False)
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """Something that is sent or answered.

    Attributes:
        name: What it is called; of an answer its status.
        kind: What it can be, in words.
        model: The model that it is, or is a list of; empty where there is none.
        required: Whether it must be there.
        text: What it means.
    """

    name: str
    kind: str
    model: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    Attributes:
        method: In capitals.
        path: With its parameters in braces.
        summary: In a few words.
        text: In a sentence.
        scopes: What a token needs; empty where any will do.
        sent: Parameters, and the body last.
        answers: What is answered where it goes well.
    """

    method: str
    path: str
    summary: str
    text: str
    scopes: tuple[str, ...]
    sent: tuple[Value, ...]
    answers: tuple[Value, ...]


@router.get(API)
def page(request: Request) -> Response:
    """The description, for whoever asks: it says nothing of anybody's."""
    document = request.app.openapi()
    visitor = request.state.visitor
    return render(
        request, "api.html", actor=visitor and visitor.actor, groups=groups(document), models=models(document),
        problems=problems(document),
    )  # fmt: skip


def groups(document: Document) -> dict[str, list[Operation]]:
    """The operations by their tag, in the document's order."""
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    return found


def models(document: Document) -> dict[str, tuple[str, tuple[Value, ...]]]:
    """Of each model what it is, and its properties; enumerations have none."""
    return {
        name: (schema.get("description", ""), tuple(_properties(schema)))
        for name, schema in document["components"]["schemas"].items()
        if "properties" in schema
    }


def problems(document: Document) -> dict[str, str]:
    """What can go wrong, by its status: the same everywhere."""
    some = next(iter(next(iter(document["paths"].values())).values()))
    return {status: one["description"] for status, one in some["responses"].items() if status >= "400"}


def kind_of(schema: Document) -> tuple[str, str]:
    """What a value can be, in words, and the model that it is or is made of; empty where there is none."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name, name
    if "anyOf" in schema:
        parts = [kind_of(part) for part in schema["anyOf"]]
        return " or ".join(kind for kind, _ in parts), next((model for _, model in parts if model), "")
    if schema.get("type") == "array":
        kind, model = kind_of(schema.get("items", {}))
        return f"list of {kind}", model
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"])), ""
    kind = str(schema.get("format") or schema.get("type", "anything"))
    least, most = (
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum", schema.get("maxLength")),
    )
    return kind + "".join(
        f" {word} {edge}" for word, edge in (("from", least), ("to", most)) if edge is not None
    ), ""


def _operation(path: str, method: str, operation: Document) -> Operation:
    asked = {scope for one in operation.get("security", ()) for scopes in one.values() for scope in scopes}
    return Operation(
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        text=operation.get("description", ""),
        scopes=tuple(sorted(asked)),
        sent=tuple(_sent(operation)),
        answers=tuple(
            _of_content(status, one["description"], one.get("content", {}))
            for status, one in operation["responses"].items()
            if status < "300"
        ),
    )


def _sent(operation: Document) -> Iterator[Value]:
    for one in operation.get("parameters", ()):
        kind, model = kind_of(one["schema"])
        yield Value(one["name"], kind, model, one.get("required", False), one.get("description", ""))
    if body := operation.get("requestBody"):
        yield _of_content("", body.get("description", ""), body["content"])


def _of_content(name: str, text: str, content: Document) -> Value:
    kinds = [kind_of(one.get("schema", {})) for one in content.values()]
    model = next((model for _, model in kinds if model), "")
    return Value(name, model or ", ".join(content), model, True, text)


def _properties(schema: Document) -> Iterator[Value]:
    for name, one in schema["properties"].items():
        kind, model = kind_of(one)
        yield Value(name, kind, model, name in schema.get("required", ()), one.get("description", ""))
