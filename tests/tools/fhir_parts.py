"""Parts of a FHIR document, by their kind and by their words."""

from __future__ import annotations

from typing import Any

Resource = dict[str, Any]


def resources(content: Resource, kind: str) -> list[Resource]:
    found = [entry["resource"] for entry in content["entry"]]
    return [resource for resource in found if resource["resourceType"] == kind]


def components(observation: Resource) -> dict[str, Any]:
    """A component's value by its words; empty where it has none."""
    return {
        part["code"]["text"]: next(value for key, value in part.items() if key.startswith("value"))
        for part in observation.get("component", [])
    }
