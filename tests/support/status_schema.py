"""The JSON of the status page, checked against its schema."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.workspace import ROOT

SCHEMA: dict[str, Any] = json.loads((ROOT / "tests" / "samples" / "status-page.schema.json").read_text())


def check(kind: str, document: object) -> None:
    """Fail unless a document matches the schema.

    :param kind: `whole`, `opening`, `changes`, `sensor`, `logs`, `letters` or `ready`.
    """
    problems = list(Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{kind}"}).iter_errors(document))
    assert not problems, problems[0]
