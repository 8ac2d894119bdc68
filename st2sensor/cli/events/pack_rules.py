"""The rules of the packs on this host, for installations without StackStorm."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from st2sensor.errors import ContentError
from st2sensor.matching.rules import RuleContent
from st2sensor.models import Rule
from st2sensor.packs.discovery import find_packs
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage
from st2sensor.why.rule_files import rule_in


def rules_of_packs(settings: Settings, storage: Storage) -> Sequence[RuleContent]:
    """Return the registered rules whose files are on this host, with their criteria. Raises StorageError."""
    packs = {pack.ref: pack.path for pack in find_packs(settings.content.pack_paths)[0]}
    found = []
    for rule in storage.all(Rule):
        if rule.pack in packs:
            with suppress(ContentError):
                found.append(rule_in(packs[rule.pack] / rule.metadata_file))
    return found
