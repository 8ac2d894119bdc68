"""What a wrapper is started with."""

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
    """What sensors have of the process that the container was started by, because the container changes its own.

    :param umask: of files they make.
    :param open_files: soft and hard limit.
    :param private: patterns of the names of variables that they do not have, beside those that configure it.
    """

    umask: int
    open_files: tuple[int, int]
    private: tuple[str, ...] = ()

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What zygotes are started with of the container's environment."""
        return handed_on(environment, self.private)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What a wrapper is started with.

    :param socket: the container's socket for wrappers.
    :param token: what the wrapper identifies itself with.
    :param eventlet: folders in which eventlet is looked for, beside the interpreter's own, to patch with it before all
        else; None leaves the sensor unpatched.
    :param cgroup: of the sensor alone, where there are control groups.
    :param limits: what the wrapper takes on before it runs: see `wrapper.environment.limit`.
    :param variables: of its environment, beside the container's and those that make it a wrapper.
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
        """The variables that a wrapper has beside those that it inherits."""
        variables = common(self.interpreter, self.socket) | {"ST2SENSOR_TOKEN": self.token, **self.variables}
        if self.eventlet is not None:
            version = "{}.{}".format(*sys.version_info)
            variables["ST2SENSOR_EVENTLET"] = os.pathsep.join([version, *self.eventlet])
        return variables

    @property
    def command(self) -> str:
        """The command line that comes to the same, for people."""
        return f"{self.interpreter} {WRAPPER} {self.ref}"


def common(interpreter: Path, socket: Path) -> dict[str, str]:
    """The variables that wrappers of an interpreter have in common: the interpreter comes first on the path."""
    return {
        "PATH": os.pathsep.join([str(interpreter.parent), os.environ.get("PATH", os.defpath)]),
        "ST2SENSOR_SOCKET": str(socket),
        "ST2SENSOR_CONTAINER": str(os.getpid()),
    }
