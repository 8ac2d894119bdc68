"""Reads a rule from a pack's file, with its criteria."""

from __future__ import annotations

from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.matching.rules import STANDARD, RuleContent
from st2sensor.packs.metadata import pack_ref, validated

DEFAULT_PACK = "default"
"""The pack of a rule that names none, as in StackStorm."""


def rule_in(path: Path) -> RuleContent:
    """Return the rule in a file. Raises ContentError, which names the line."""
    file = validated(path, "rule.json")
    data, trigger = file.data, file.data["trigger"]
    criteria, kind, action = data.get("criteria"), data.get("type"), data.get("action")
    if criteria is not None and not isinstance(criteria, dict):
        raise file.error("criteria must be a mapping of keys to operators and patterns", ["criteria"])
    enabled = data.get("enabled", False)
    if not isinstance(enabled, bool):
        raise file.error("enabled must be true or false", ["enabled"])
    return RuleContent(
        ref=f"{data.get('pack') or _pack_of(path)}.{data['name']}",
        # As in StackStorm, a rule that does not say enabled: true is disabled.
        enabled=enabled,
        trigger_type=trigger["type"],
        parameters=trigger.get("parameters") or {},
        criteria=criteria or {},
        kind=str(kind.get("ref") or STANDARD) if isinstance(kind, dict) else STANDARD,
        action=str(action.get("ref") or "") if isinstance(action, dict) else "",
    )


def _pack_of(path: Path) -> str:
    metadata = path.absolute().parent.parent / "pack.yaml"
    try:
        return pack_ref(metadata) if metadata.is_file() else DEFAULT_PACK
    except ContentError:
        return DEFAULT_PACK
