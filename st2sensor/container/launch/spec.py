"""The value that describes how to start a wrapper."""

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
    """The settings that sensors inherit from the process that started the container, which changes its own.

    :param umask: umask for the files that sensors make.
    :param open_files: soft and hard limits of open files.
    :param private: patterns for names of environment variables not to inherit, in addition to the container's own.
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
    :param token: the secret with which the wrapper identifies itself.
    :param eventlet: folders to search for eventlet in addition to the interpreter's own; eventlet then patches the
        wrapper before anything else. None leaves the sensor unpatched.
    :param cgroup: the sensor's own control group; None if there are no control groups.
    :param limits: limits that the wrapper applies before it runs the sensor.
    :param variables: environment variables in addition to the inherited ones and those that make the process a wrapper.
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
        """Return the environment variables of the wrapper, without the inherited ones."""
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
    """Return the variables that all wrappers of an interpreter share. PATH begins with the interpreter's folder."""
    return {
        "PATH": os.pathsep.join([str(interpreter.parent), os.environ.get("PATH", os.defpath)]),
        "ST2SENSOR_SOCKET": str(socket),
        "ST2SENSOR_CONTAINER": str(os.getpid()),
    }
