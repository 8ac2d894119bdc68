"""Register the content of the packs under development: at the start, and whenever a file is saved."""

from __future__ import annotations

import shlex
import shutil
import threading
import venv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from st2sensor.cli.development.folder import Folder
from st2sensor.cli.development.output import Output
from st2sensor.cli.registration import registry_of
from st2sensor.errors import ConfigError, SensorNotFound, St2SensorError, TriggerRefused
from st2sensor.models import Refusal, Registration, Rule, SensorType, Trigger, TriggerType
from st2sensor.packs import yaml_files
from st2sensor.packs.code import virtualenv
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registrable import KINDS
from st2sensor.packs.registration import asking
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, Result, failures
from st2sensor.settings import Settings
from st2sensor.storage.base import Storage
from st2sensor.transport import open_transport

SENSOR = "sensor"

VERBS = {Result.CREATED: "starts", Result.CHANGED: "restarts", Result.REMOVED: "stops"}
"""The words that describe what an enabled sensor does, by the result of its registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTrigger:
    """A trigger that --trigger adds, as a rule would."""

    trigger_type: str
    parameters: dict[str, Any]


def parse_trigger(text: str) -> WantedTrigger:
    """Parse `TYPE key=value ...`, whose values are YAML. Raises ConfigError."""
    try:
        trigger_type, *pairs = shlex.split(text)
        parameters = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not name or not equals:
                raise ValueError(f"{pair} is not key=value")
            parameters[name] = yaml_files.value(value)
    except ValueError as exception:
        raise ConfigError(
            f"--trigger {text!r}: {exception}; write it like 'linux.file_watch.line file_path=/tmp/x'"
        ) from exception
    return WantedTrigger(trigger_type=trigger_type, parameters=parameters)


class Content:
    """The registered content. Thread-safe.

    :param triggers: the triggers to add.
    :param virtualenvs: install the requirements of packs.
    """

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        storage: Storage,
        screen: Output,
        *,
        triggers: Sequence[WantedTrigger],
        virtualenvs: bool,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._storage = storage
        self._screen = screen
        self._missing = list(triggers)
        self._virtualenvs = virtualenvs
        self._announcements = Announcements.of(settings)
        self._checker = Checker()
        self._failing: frozenset[str] = frozenset()
        """Messages of failures that have been shown and are not fixed yet."""
        self._warned: frozenset[str] = frozenset()
        """The warnings of the last registration."""
        self._lock = threading.Lock()

    def start(self, sensors: Sequence[str]) -> None:
        """Register everything, as if for the first time.

        :param sensors: sensors that must exist, by class or reference.

        Raises SensorNotFound, and TriggerRefused.
        """
        with self._lock:
            for kind in (SensorType, Registration, TriggerType, Refusal, Rule, Trigger):
                for item in self._storage.all(kind):
                    self._storage.remove(kind, item.ref)
            outcomes = [*self._set_up(), *self._register()]
            failed = failures(outcomes)
            self._make_room()
            self._show_failures(failed, ())
            # A missing type may be in a broken file, and appear once the file is fixed.
            self._add_triggers(lenient=bool(failed))
            if not failed:
                _check(sensors, [outcome.ref for outcome in outcomes if outcome.kind == SENSOR])
            for outcome in outcomes:
                if outcome.kind == SENSOR and outcome.result is not Result.FAILED and not self._is_enabled(outcome.ref):
                    self._screen.show("sensor", outcome.ref, "is disabled")
            self._send()

    def saved(self, names: Collection[str]) -> None:
        """Register the changes and show the results.

        :param names: the saved files, as they are shown.
        """
        shown = ", ".join(sorted(names))
        with self._lock:
            try:
                made = self._set_up() if any(name.endswith(virtualenv.REQUIREMENTS) for name in names) else []
                before = self._digests()
                outcomes = [*made, *self._register()]
                self._add_triggers(lenient=True)
                self._send()
            except St2SensorError as exception:
                self._screen.show("error", shown, self._folder.as_given(str(exception)))
                return
            changed = [item for item in outcomes if item.result in VERBS and item.kind != "virtualenv"]
            for outcome in changed:
                is_same = outcome.kind == SENSOR and before.get(outcome.ref) == self._digests().get(outcome.ref)
                consequence = f"{outcome.ref} is fixed; it kept running" if is_same else self._consequence(outcome)
                self._screen.show("saved", shown, consequence)
            failed = failures(outcomes)
            was_shown = self._show_failures(failed, names)
            if not changed and not was_shown:
                self._screen.show("saved", shown, "nothing to do")

    def _register(self) -> list[Outcome]:
        with registry_of(self._settings, self._storage, self._announcements) as registry:
            outcomes = registry.register(KINDS)
        own = str(self._settings.content.overrides_path)
        for warning in registry.warnings:
            # Skip warnings about the overrides: this command wrote them, and a class named by --sensor need not be in
            # every pack.
            if warning not in self._warned and not warning.startswith(own):
                self._screen.show("warning", "registration", self._folder.as_given(warning))
        self._warned = frozenset(registry.warnings)
        return outcomes

    def _set_up(self) -> list[Outcome]:
        """Build the virtualenvs that packs need."""
        home = self._settings.content.virtualenvs_path
        for ref, path in self._folder.packs.items():
            has_pip = (home / ref / "bin" / "pip").exists()
            if self._virtualenvs and not has_pip:
                shutil.rmtree(home / ref, ignore_errors=True)
            elif not self._virtualenvs and not (home / ref).exists() and virtualenv.requirements(path):
                # An empty virtualenv: the sensor uses the packages of the container's interpreter.
                venv.create(home / ref, with_pip=False, symlinks=True)
        if not self._virtualenvs:
            return []
        with registry_of(self._settings, self._storage, self._announcements) as registry:
            return registry.set_up_virtualenvs(recreate=False, progress=self._progress)

    def _progress(self, line: str) -> None:
        ref, _, text = line.partition(": ")
        self._screen.show("setup", ref, self._folder.as_given(text))

    def _show_failures(self, failed: Sequence[Outcome], names: Collection[str]) -> bool:
        """Show new failures, and old ones in files that were saved. Return whether there were any."""
        was_shown = False
        messages = dict.fromkeys(outcome.message for outcome in failed)
        for message in messages:
            text = self._folder.as_given(message)
            if message not in self._failing or any(name in text for name in names):
                place, _, problem = text.partition(": ")
                enabled = [item.ref for item in failed if item.message == message and self._goes_on(item)]
                after = f"; {', '.join(enabled)} stays as it was" if enabled else ""
                self._screen.show("error", place, f"{problem}{after}")
                was_shown = True
        self._failing = frozenset(messages)
        return was_shown

    def _digests(self) -> dict[str, str | None]:
        """Return the digests of the code that sensors run, by reference."""
        return {known.ref: known.digest for known in self._storage.all(Registration)}

    def _goes_on(self, outcome: Outcome) -> bool:
        return outcome.kind == SENSOR and self._is_enabled(outcome.ref)

    def _is_enabled(self, ref: str) -> bool:
        sensor = self._storage.get(SensorType, ref)
        return sensor is not None and sensor.enabled

    def _consequence(self, outcome: Outcome) -> str:
        if outcome.kind != SENSOR:
            return f"{outcome.kind} {outcome.ref} {outcome.result.value}"
        if outcome.result is Result.CHANGED and not self._is_enabled(outcome.ref):
            return f"{outcome.ref} is disabled"
        return f"{outcome.ref} {VERBS[outcome.result]}"

    def _add_triggers(self, *, lenient: bool) -> None:
        """Add the triggers that do not exist yet. Raises TriggerRefused.

        :param lenient: show a refused trigger instead of raising.
        """
        for wanted in list(self._missing):
            try:
                trigger = asking.ask(
                    wanted.trigger_type, wanted.parameters, self._storage, self._announcements, self._checker
                )
            except TriggerRefused as refusal:
                if not lenient:
                    raise
                self._screen.show("error", wanted.trigger_type, f"--trigger: {refusal}")
                continue
            self._missing.remove(wanted)
            shown = " ".join(f"{name}={value}" for name, value in trigger.parameters.items())
            self._screen.show("trigger", wanted.trigger_type, f"is added: {shown}" if shown else "is added")

    def _send(self) -> None:
        self._announcements.send(open_transport(self._settings.messaging))

    def _make_room(self) -> None:
        packs = self._folder.packs
        self._screen.make_room(self._names(packs))

    def _names(self, packs: Collection[str]) -> Iterator[str]:
        for kind in (SensorType, TriggerType):
            for item in self._storage.all(kind):
                if item.pack in packs:
                    yield item.ref


def _check(wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if not any(name in (ref, ref.partition(".")[2]) for ref in known):
            raise SensorNotFound(f"--sensor {name}: no such sensor; the sensors are: {', '.join(known) or 'none'}")
