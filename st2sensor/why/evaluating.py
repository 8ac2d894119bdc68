"""Evaluates a rule's criteria. For worker processes: expressions and patterns may take any time.

Arguments and results are JSON values. The process reaches no datastore: it asks for a missing value, and is called
again with that value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from st2sensor.matching.criteria import PAYLOAD, NotRendered, compare
from st2sensor.matching.operators import operators
from st2sensor.packs.configuration.rendering import Needs, renderer

EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)

OURS = re.compile(r"[Nn]o (filter|test) named|SecurityError|only for numbers")
"""Matches errors of expressions that StackStorm can render: it has more filters, and fewer limits."""


def evaluated(
    criteria: Mapping[str, Any],
    payload: Mapping[str, Any],
    now: float,
    starts: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
    plains: Mapping[str, str],
) -> dict[str, Any]:
    """Return `results`, a comparison for each criterion; or `needs`, as `rendering.rendered` does.

    :param now: seconds since the epoch, for `timediff_*`.
    :param starts: the prefix of the stored names, by scope.
    :param values: the known values of the datastore, by scope and name.
    :param plains: the known decrypted values, by ciphertext.
    """
    filters = {"to_complex": _to_complex, "use_none": lambda value: value}
    render = renderer(starts, values, plains, filters)
    try:
        found = compare(criteria, {PAYLOAD: payload}, operators(lambda: now), _rendering(render))
    except Needs as needs:
        return needs.told
    return {"results": [asdict(comparison) for comparison in found]}


def _to_complex(value: Any) -> str:
    return json.dumps(value, default=str)


def _rendering(render: Callable[[str, Mapping[str, Any]], str]) -> Callable[[Any, Mapping[str, Any]], Any]:
    """Return a function that renders patterns. As in StackStorm, an expression that is a whole value keeps its type."""

    def rendered(pattern: str, context: Mapping[str, Any]) -> Any:
        if "{{" not in pattern and "{%" not in pattern and "{#" not in pattern:
            return pattern
        try:
            plain = render(pattern, context)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 (any expression)
            problem = f"{type(error).__name__}: {error}"
            raise NotRendered(problem, is_ours=bool(OURS.search(problem))) from None
        try:
            return json.loads(render(EXPRESSION.sub(r"{{ (\1) | to_complex }}", pattern), context))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 (any expression: what is no JSON stays text)
            return plain

    return rendered
