"""The interface of the parts that start wrappers: `Zygotes`, and `Foreground` for `st2sensor run`."""

from __future__ import annotations

from typing import Protocol

from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import LaunchSpec
from st2sensor.sharing.clocks import Moment


class Launcher(Protocol):
    """Starts the processes of sensors. For the loop's thread, which must be the main thread."""

    async def start(self, launch: LaunchSpec) -> Handle:
        """Start a wrapper. Raises OSError when it cannot be started."""

    def forget(self, group: int) -> None:
        """Drop a process group that has ended."""

    def limit(self, end: Moment) -> None:
        """Make sure that all sensors are killed at a moment, even while this process is paused. A later call replaces
        the moment."""

    def close(self) -> None:
        """End the launcher's own processes."""
