"""A container of the fleet, in a namespace, with its own configuration and state directory."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress

import psutil

from tests.fleet.network import Network
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

CONFIG = """\
sensor_node_name = {name}
partition_provider = {provider}
lease = {lease:g}
resync_interval = 2
restart_delay = 0.2
restart_delay_max = 2
stop_timeout = {stop_timeout:g}
"""


class Node:
    """:param lease: seconds; :param provider: the partition provider, as st2.conf has it."""

    def __init__(self, workspace: Workspace, network: Network, name: str, *, lease: float, provider: str) -> None:
        self.name = name
        self._workspace = workspace
        self._within = network.within(name)
        self._config = workspace.folder / f"{name}.conf"
        extra = CONFIG.format(name=name, provider=provider, lease=lease, stop_timeout=SOON / 2)
        self._config.write_text(workspace.configuration(extra, state=name))
        self._container: Container | None = None

    @property
    def container(self) -> Container:
        """Return the container that was started last."""
        assert self._container is not None, f"{self.name} was never started"
        return self._container

    def start(self) -> None:
        """Start the container; return at once."""
        self._container = self._workspace.start(config=self._config, prefix=self._within)

    def stop(self) -> int:
        """Stop cleanly, and return the exit code; if the stop takes too long, that of SIGKILL."""
        # A container that was started a moment ago does not handle signals yet.
        container = self.container
        eventually("it has started", lambda: "configured by" in container.log or container.process.poll() is not None)
        try:
            return container.stop()
        except subprocess.TimeoutExpired:
            self.kill_all()
            return -signal.SIGKILL

    def kill(self) -> None:
        """Send SIGKILL to the container's own process."""
        self.container.process.kill()
        self.container.process.wait(SOON)

    def pause(self) -> None:
        """Send SIGSTOP to the container's own process; its zygotes and sensors keep running."""
        self.container.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.container.process.send_signal(signal.SIGCONT)

    def pause_all(self) -> None:
        """Send SIGSTOP to the container, its zygotes and its sensors, as if the machine were paused."""
        self._signal_all(signal.SIGSTOP)

    def resume_all(self) -> None:
        self._signal_all(signal.SIGCONT)

    def kill_all(self) -> None:
        """Send SIGKILL to the container, its zygotes and its sensors, as if the machine were gone."""
        self._signal_all(signal.SIGKILL)
        self.container.process.wait(SOON)

    def _signal_all(self, number: signal.Signals) -> None:
        process = psutil.Process(self.container.process.pid)
        # The container first, or it would restart the others.
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                member.send_signal(number)
