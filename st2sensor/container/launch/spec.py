"""The value that describes how a wrapper is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import st2sensor
from st2sensor.container.launch.cgroup import Cgroup
from st2sensor.system.environment import handed_on

WRAPPER = Path(st2sensor.__file__).parent / "wrapper" / "__main__.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What sensors inherit of the process that started the container, because the container changes its own.

    :param umask: of the files they make.
    :param open_files: soft and hard limit.
    :param private: patterns of names of environment variables that they do not inherit, besides the container's own.
    """

    umask: int
    open_files: tuple[int, int]
    private: tuple[str, ...] = ()

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the part of the container's environment that sensors inherit."""
        return handed_on(environment, self.private)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """Describes one start of a wrapper.

    :param socket: the container's socket for wrappers.
    :param token: the wrapper identifies itself with it.
    :param eventlet: folders, besides the interpreter's own, that are searched for eventlet, which then patches the
        wrapper before anything else; None leaves the sensor unpatched.
    :param cgroup: of the sensor alone; None where there are no control groups.
    :param limits: applied by the wrapper before it runs the sensor.
    :param variables: of its environment, besides the inherited ones and those that make it a wrapper.
    """

    ref: str
    interpreter: Path
    socket: Path
    token: str
    eventlet: tuple[str, ...] | None = None
    cgroup: Cgroup | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the environment variables of the wrapper, besides the inherited ones."""
        variables = common(self.interpreter, self.socket) | {"ST2SENSOR_TOKEN": self.token, **self.variables}
        if self.eventlet is not None:
            version = "{}.{}".format(*sys.version_info)
            variables["ST2SENSOR_EVENTLET"] = os.pathsep.join([version, *self.eventlet])
        return variables

    @property
    def command(self) -> str:
        """An equivalent command line, for people."""
        return f"{self.interpreter} {WRAPPER} {self.ref}"


def common(interpreter: Path, socket: Path) -> dict[str, str]:
    """Return the variables that all wrappers of an interpreter have: the interpreter comes first in PATH."""
    return {
        "PATH": os.pathsep.join([str(interpreter.parent), os.environ.get("PATH", os.defpath)]),
        "ST2SENSOR_SOCKET": str(socket),
        "ST2SENSOR_CONTAINER": str(os.getpid()),
    }
