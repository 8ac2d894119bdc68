"""Brings storage in line with the packs on disk, step by step. Writes and announces only changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from st2sensor.models import Pack
from st2sensor.packs.bundled import BUNDLED
from st2sensor.packs.code import virtualenv
from st2sensor.packs.configuration.templates import Templates
from st2sensor.packs.discovery import find_packs, pack_at
from st2sensor.packs.registrable import RULES, SENSORS, TRIGGERS
from st2sensor.packs.registration import rules, virtualenvs
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.context import Context, Progress
from st2sensor.packs.registration.outcome import Outcome, Result, failed
from st2sensor.packs.registration.sensors import Sensors
from st2sensor.packs.registration.trigger_types import TriggerTypes
from st2sensor.settings import Content
from st2sensor.storage.base import Storage


@dataclass(slots=True, kw_only=True)
class Registry:
    """Registers the content of packs.

    :param content: where packs, configurations and virtualenvs are.
    :param templates: renders the datastore's expressions in configurations.
    :param announcements: collects messages for running containers.
    :param only: the folder of the one pack to register; None for all packs under the pack paths.
    :param warnings: filled while content is registered.
    """

    storage: Storage
    content: Content
    templates: Templates
    announcements: Announcements
    only: Path | None = None
    progress: Progress = lambda step, done, total: None  # noqa: ARG005
    warnings: list[str] = field(default_factory=list)

    def register(self, kinds: Collection[str], *, prune: bool = False) -> list[Outcome]:
        """Register content, and unregister content that is gone.

        Problems with content are in the outcomes. Raises StorageError and StorageUnavailable.

        :param kinds: any of KINDS.
        :param prune: also unregister the content of packs that are not on this host.
        """
        packs, outcomes = self._packs()
        context = Context(
            storage=self.storage,
            content=self.content,
            templates=self.templates,
            announcements=self.announcements,
            packs=packs,
            is_whole=self.only is None,
            progress=self.progress,
            warnings=self.warnings,
        )
        types = TriggerTypes(context)
        outcomes += types.register_core()
        if TRIGGERS in kinds:
            outcomes += types.register_files()
        if SENSORS in kinds:
            outcomes += Sensors(context, types).register(prune)
        context.refusals.settle(self.storage, kinds, None if prune else context.present())
        if RULES in kinds:
            outcomes += self._rules(context, prune)
        return outcomes

    def set_up_virtualenvs(self, *, recreate: bool, progress: virtualenv.Progress) -> list[Outcome]:
        """Make the virtualenvs that packs need.

        :param recreate: also recreate existing ones.
        :param progress: receives one line at a time.
        """
        packs, outcomes = self._packs()
        return outcomes + virtualenvs.set_up(packs, self.content.virtualenvs_path, recreate=recreate, progress=progress)

    def _packs(self) -> tuple[list[Pack], list[Outcome]]:
        packs, errors = find_packs(self.content.pack_paths) if self.only is None else pack_at(self.only)
        return [*packs, BUNDLED], [failed("pack", error.file, error) for error in errors]

    def _rules(self, context: Context, prune: bool) -> Iterator[Outcome]:
        files, outcomes = context.files(RULES)
        yield from outcomes
        outcomes_of_rules = rules.register_files(
            files,
            None if prune else context.present(),
            self.storage,
            self.announcements,
            self.templates.checker,
            lambda rule: context.overrides_of(rule.pack).disables(rule.name),
        )
        for outcome in outcomes_of_rules:
            if outcome.result is Result.WAITING:
                self.warnings.append(outcome.message)
            yield outcome
