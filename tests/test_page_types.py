"""The JSDoc types of REST's answers, in the player's `api.js`, are those that the server sends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
API_JS = ROOT / "streaming" / "static" / "streaming" / "ui" / "api.js"
OPENAPI = ROOT / "docs" / "openapi.json"

BODIES = {
    "Entity": "EntityOut",
    "SessionDetail": "SessionDetail",
    "Job": "JobOut",
    "Corner": "CornerOut",
    "Geometry": "GeometryOut",
    "RaceEvent": "EventOut",
    "Lap": "LapOut",
    "Stint": "StintOut",
    "Standing": "StandingOut",
    "Classified": "ClassifiedOut",
    "ImportReport": "ImportReportOut",
    "Agreement": "AgreementOut",
    "CrossingAgreement": "CrossingAgreementOut",
    "OrderAgreement": "OrderAgreementOut",
    "GapAgreement": "GapAgreementOut",
    "Finding": "FindingOut",
    "LapTelemetry": "TelemetryOut",
    "ComparedLap": "ComparedLapOut",
    "Comparison": "ComparisonOut",
}
"""Name in api.js → name in docs/openapi.json, which another test compares with the server."""

NAMED = {
    "Point": "array",
    "Agreement": "object",
    "CrossingAgreement": "object",
    "OrderAgreement": "object",
    "GapAgreement": "object",
    "Corner": "object",
    "Entity": "object",
    "Job": "object",
}


def page_types() -> dict[str, dict[str, str]]:
    """Type name → property → JSDoc type."""
    blocks = re.findall(r"@typedef \{object\} (\w+)(.*?)\*/", API_JS.read_text(), re.S)
    property_ = r"@property \{((?:[^{}]|\{[^{}]*\})+)\} (\w+)"
    return {name: {p: t for t, p in re.findall(property_, body)} for name, body in blocks}


def kinds_of_page(type_: str) -> set[str]:
    """ "(number | null)[]" → {"array"}, "number | null" → {"number", "null"}."""
    if type_.endswith("[]"):
        return {"array"}
    if type_.startswith(("Record<", "{")):
        return {"object"}
    parts = type_.split(" | ")
    return {"string" if part.startswith('"') else NAMED.get(part, part) for part in parts}


def kinds_of_api(schema: dict[str, Any]) -> set[str]:
    if "anyOf" in schema:
        return set().union(*(kinds_of_api(option) for option in schema["anyOf"]))
    kind = "object" if "$ref" in schema else schema["type"]
    return {"number" if kind == "integer" else kind}


def test_every_body_of_the_page_is_compared() -> None:
    assert set(page_types()) == set(BODIES)


@pytest.mark.parametrize("name", BODIES)
def test_the_page_reads_what_the_server_sends(name: str) -> None:
    schemas = json.loads(OPENAPI.read_text())["components"]["schemas"]
    sent = schemas[BODIES[name]]["properties"]
    for property_, type_ in page_types()[name].items():
        assert property_ in sent, f"{BODIES[name]} has no {property_}"
        assert kinds_of_page(type_) == kinds_of_api(sent[property_]), property_
