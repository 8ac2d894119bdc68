"""The rules of the packs on this host, for installations without StackStorm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.matching.rules import RuleContent
from st2sensor.models import Rule
from st2sensor.packs.discovery import find_packs
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage
from st2sensor.why.rule_files import rule_in


def rules_of_packs(settings: Settings, storage: Storage) -> Sequence[RuleContent]:
    """Return the registered rules, with their criteria if their files can be read here. Raises StorageError."""
    packs = {pack.ref: pack.path for pack in find_packs(settings.content.pack_paths)[0]}
    return [_content(rule, packs.get(rule.pack)) for rule in storage.all(Rule)]


def _content(rule: Rule, pack: Path | None) -> RuleContent:
    if pack is None:
        return _registered(rule, f"its pack {rule.pack} is not on this host")
    try:
        return rule_in(pack / rule.metadata_file)
    except ContentError as error:
        return _registered(rule, str(error))


def _registered(rule: Rule, problem: str) -> RuleContent:
    """Return the part of a rule that is known without its file."""
    return RuleContent(
        ref=rule.ref,
        enabled=True,
        trigger_type=rule.trigger_type,
        parameters=rule.parameters,
        criteria={},
        trigger=rule.trigger,
        problem=problem,
    )
