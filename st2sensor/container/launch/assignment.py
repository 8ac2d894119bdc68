"""What a sensor is started with, and what its wrapper is told of it. Blocks on files, never on a server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from st2sensor.container.launch import api_access
from st2sensor.container.launch.cgroup import Cgroups
from st2sensor.container.launch.spec import LaunchSpec, limits, variables
from st2sensor.models import Overrides, SensorType
from st2sensor.packs.bundled import is_bundled
from st2sensor.packs.code.imports import imports
from st2sensor.packs.code.location import Code, code_of
from st2sensor.packs.configuration import source as pack_source
from st2sensor.packs.configuration.source import Source
from st2sensor.settings import Settings

ALWAYS, AUTO = "always", "auto"


def launch_of(
    sensor: SensorType,
    overrides: Overrides,
    token: str,
    settings: Settings,
    state_dir: Path,
    cgroups: Cgroups | None,
) -> LaunchSpec:
    """What a sensor is started with. Raises ConfigError, ContentError and OSError."""
    code = code_of(sensor, settings.content)
    taken_on = limits(overrides)
    return LaunchSpec(
        ref=sensor.ref,
        interpreter=code.interpreter,
        socket=socket_of(state_dir, taken_on["user"]),
        token=token,
        eventlet=code.fallback_paths if _is_patched(code, settings.container.eventlet) else None,
        cgroup=None if cgroups is None else cgroups.make(sensor.ref, token[:8], overrides),
        limits=taken_on,
        variables=variables(overrides) | api_access.variables(settings.container),
    )


def assignment_of(sensor: SensorType, settings: Settings) -> tuple[dict[str, Any], Source]:
    """What a wrapper runs, in the wrapper protocol's form but for `config`; and what that is made from.

    Raises ContentError.
    """
    code = code_of(sensor, settings.content)
    assignment = {
        "ref": sensor.ref,
        "pack": sensor.pack,
        "code": code.for_wrapper(),
        "poll_interval": sensor.poll_interval or None,
    }
    return assignment, pack_source.load(settings.content.configs_path, sensor.pack, code.pack)


def own_config(sensor: SensorType, settings: Settings) -> dict[str, Any]:
    """What the sensors of the bundled pack `core` get beside that pack's configuration: their sections of ours."""
    if not is_bundled(sensor):
        return {}
    return {"webhooks": asdict(settings.webhooks), "timers": asdict(settings.timers)}


def socket_of(state_dir: Path, user: list[Any] | None) -> Path:
    """The socket of a sensor's wrapper: who runs as another user gets one that this user may open."""
    return state_dir / ("wrapper.sock" if user is None else f"wrapper-{user[0]}.sock")


def _is_patched(code: Code, eventlet: str) -> bool:
    if eventlet != AUTO:
        return eventlet == ALWAYS
    return any(name.partition(".")[0] == "eventlet" for name in imports(code.file, code.search_paths))
