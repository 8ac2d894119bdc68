"""The state that the steps of one registration share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Instance, Pack, SensorType
from st2sensor.packs import instances, overrides
from st2sensor.packs.bundled import BUNDLED
from st2sensor.packs.configuration.templates import Templates
from st2sensor.packs.discovery import metadata_files
from st2sensor.packs.instances import PackInstances
from st2sensor.packs.overrides import PackOverrides
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, failed
from st2sensor.packs.registration.refusals import Refusals
from st2sensor.settings import Content
from st2sensor.storage.base import Storage

Progress = Callable[[str, int, int], None]
"""Receives the name of a step, the number of items done, and the number of all items."""


@dataclass(slots=True, kw_only=True)
class Context:
    """The input of the steps of one registration, and their reports.

    :param packs: the packs to register, including the bundled one.
    :param is_whole: whether these are all packs on this host.
    :param warnings: the warnings so far; the steps append to them.
    """

    storage: Storage
    content: Content
    templates: Templates
    announcements: Announcements
    packs: Sequence[Pack]
    is_whole: bool
    progress: Progress
    warnings: list[str]
    refusals: Refusals = field(default_factory=Refusals)
    _overrides: dict[str, PackOverrides] = field(default_factory=dict)
    _instances: dict[str, PackInstances] = field(default_factory=dict)
    _known_instances: dict[str, Instance] | None = None
    _unreadable: set[str] = field(default_factory=set)
    """Packs with folders that cannot be read. Their registered content is kept."""

    def files(self, kind: str) -> tuple[list[tuple[Pack, Path]], list[Outcome]]:
        """Return the metadata files of one kind, and a failure for each pack whose folder cannot be read."""
        files: list[tuple[Pack, Path]] = []
        outcomes: list[Outcome] = []
        for pack in self.packs:
            try:
                files += [(pack, path) for path in metadata_files(pack, kind)]
            except ContentError as error:
                self._unreadable.add(pack.ref)
                outcomes.append(failed("pack", pack.ref, error))
        return files, outcomes

    def present(self) -> set[str]:
        """Return the packs whose content is fully known."""
        return {pack.ref for pack in self.packs if pack is not BUNDLED} - self._unreadable

    def overrides_of(self, pack: str) -> PackOverrides:
        """Load an operator's overrides for a pack, once. Raises ContentError."""
        if pack not in self._overrides:
            self._overrides[pack] = overrides.load(self.content.overrides_path, pack)
            # Every pack reads the global file.
            new = map(str, self._overrides[pack].warnings)
            self.warnings += [warning for warning in new if warning not in self.warnings]
        return self._overrides[pack]

    def instances_of(self, pack: str) -> PackInstances:
        """Read the instances in a pack's file, once."""
        if pack not in self._instances:
            self._instances[pack] = instances.load(self.content.instances_path, pack)
        return self._instances[pack]

    def known_instances(self) -> dict[str, Instance]:
        """Return the instances that were registered before, by reference."""
        if self._known_instances is None:
            self._known_instances = {item.ref: item for item in self.storage.all(Instance)}
        return self._known_instances

    def has_instances(self, sensor: SensorType) -> bool:
        """Return whether instances take the place of a class. Instances in a file that cannot be read are kept."""
        found = self.instances_of(sensor.pack)
        if found.is_broken:
            return any(item.of_class == sensor.ref for item in self.known_instances().values())
        return bool(found.classes.get(sensor.name))
