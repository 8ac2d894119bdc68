"""`st2sensor enable` and `disable`: whether a sensor should run, on any node."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from st2sensor.cli.announce import tell
from st2sensor.cli.configuration import configured
from st2sensor.cli.text.outcome import report
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.enabling import set_enabled
from st2sensor.settings import Settings
from st2sensor.storage import open_storage


def enable(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    _set_enabled(configured(config_files), ref, enabled=True, json_output=json_output)


def disable(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    _set_enabled(configured(config_files), ref, enabled=False, json_output=json_output)


def _set_enabled(settings: Settings, ref: str, *, enabled: bool, json_output: bool) -> None:
    announcements = Announcements.of(settings)
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        is_changed = set_enabled(storage, announcements, ref, enabled=enabled)
    word = "enabled" if enabled else "disabled"
    line = f"{ref} is {word}" if is_changed else f"{ref} was {word} already"
    report(json_output, line, ref=ref, enabled=enabled, changed=is_changed)
    if is_changed:
        tell(announcements, settings)
