"""Prepares the start of a sensor: makes the `LaunchSpec` of its wrapper from its metadata and overrides."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from st2sensor.container.launch import api_access
from st2sensor.container.launch.cgroup import Cgroups
from st2sensor.container.launch.spec import LaunchSpec
from st2sensor.errors import ConfigError
from st2sensor.models import Overrides, SensorType
from st2sensor.packs.code.imports import imports
from st2sensor.packs.code.location import Code, code_of
from st2sensor.settings import Settings

ALWAYS, AUTO = "always", "auto"


class Sockets(Protocol):
    """The sockets that wrappers connect to."""

    def ensure(self, path: Path, user: Sequence[Any] | None) -> None:
        """Listen at a path that a user may connect to. Raises ConfigError and OSError."""


class Preparation:
    """For the loop's thread.

    :param blocking: runs a call that blocks on files in another thread.
    :param cgroups: None if no control group is delegated to the container.
    """

    def __init__(
        self,
        settings: Settings,
        state_dir: Path,
        cgroups: Cgroups | None,
        sockets: Sockets,
        blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self._settings = settings
        self._state_dir = state_dir
        self._cgroups = cgroups
        self._sockets = sockets
        self._blocking = blocking

    async def prepare(self, sensor: SensorType, overrides: Overrides, token: str) -> LaunchSpec:
        """Make the spec of a wrapper, its control group and its socket. Raises ConfigError, ContentError, OSError.

        :param token: the secret with which the wrapper identifies itself.
        """
        spec: LaunchSpec = await self._blocking(
            lambda: spec_of(sensor, overrides, token, self._settings, self._state_dir, self._cgroups)
        )
        try:
            self._sockets.ensure(spec.socket, spec.limits["user"])
        except (OSError, ConfigError):
            if spec.cgroup is not None:
                spec.cgroup.remove(asyncio.get_running_loop())
            raise
        return spec


def spec_of(
    sensor: SensorType,
    overrides: Overrides,
    token: str,
    settings: Settings,
    state_dir: Path,
    cgroups: Cgroups | None,
) -> LaunchSpec:
    """Return the spec of a sensor's wrapper, after making its control group. Blocks on files.

    Raises ConfigError, ContentError and OSError.
    """
    code = code_of(sensor, settings.content)
    accepted = limits(overrides)
    return LaunchSpec(
        ref=sensor.ref,
        interpreter=code.interpreter,
        socket=socket_of(state_dir, accepted["user"]),
        token=token,
        eventlet=code.fallback_paths if _is_patched(code, settings.container.eventlet) else None,
        cgroup=None if cgroups is None else cgroups.make(sensor.ref, token[:8], overrides),
        limits=accepted,
        variables=variables(overrides) | api_access.variables(settings.container),
    )


def socket_of(state_dir: Path, user: list[Any] | None) -> Path:
    """Return the path of a wrapper's socket. A sensor of another user gets a socket that this user may open."""
    return state_dir / ("wrapper.sock" if user is None else f"wrapper-{user[0]}.sock")


def _is_patched(code: Code, eventlet: str) -> bool:
    if eventlet != AUTO:
        return eventlet == ALWAYS
    return any(name.partition(".")[0] == "eventlet" for name in imports(code.file, code.own_paths))


def limits(overrides: Overrides) -> dict[str, Any]:
    """Return the limits that the wrapper applies before it runs. Raises ConfigError for a user that does not exist."""
    user = None if overrides.run_as is None else account(overrides.run_as)
    if user is not None and user.pw_uid == os.geteuid() != 0:
        # The container already runs as this user, and could not set groups.
        user = None
    return {
        "open_files": overrides.open_files and [overrides.open_files] * 2,
        "processes": overrides.processes,
        "nice": overrides.nice,
        "user": None if user is None else [user.pw_uid, user.pw_gid, os.getgrouplist(user.pw_name, user.pw_gid)],
    }


def variables(overrides: Overrides) -> dict[str, str]:
    """Return the environment variables of another user. Raises ConfigError for a user that does not exist."""
    if overrides.run_as is None:
        return {}
    user = account(overrides.run_as)
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}


def account(name: str) -> pwd.struct_passwd:
    """Return the user that a sensor runs as. Raises ConfigError."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"run_as = {name}: there is no such user on this host; add it or name another") from None
    if os.geteuid() not in (0, found.pw_uid):
        raise ConfigError(f"run_as = {name}: only a container that runs as root can run sensors as other users")
    return found
