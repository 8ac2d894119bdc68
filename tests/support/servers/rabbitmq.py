"""A private RabbitMQ node on free ports, from Debian's package."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError

from tests.plugins import failures
from tests.plugins.patience import LATER, SOON
from tests.support.servers.ports import free_port
from tests.support.servers.process import Server
from tests.support.servers.waiting import eventually

# Each attempt to connect before the server is up would be logged with a traceback.
logging.getLogger("pika").setLevel(logging.CRITICAL)

UNREACHABLE = (AMQPError, OSError, ValueError)
"""Exceptions that pika raises while there is no server; ValueError if the server ends right after the connect."""


CONTROL_SCRIPT = """\
#!{python}
import subprocess, sys

words = [word.replace("st2.", "{prefix}.", 1) for word in sys.argv[1:]]
done = subprocess.run(
    {command!r} + words, env={environment!r}, cwd={folder!r}, stdout=subprocess.PIPE, text=True, check=False
)
print(done.stdout.replace("{prefix}.", "st2.").replace(chr(9), " "), end="")
sys.exit(done.returncode)
"""


def executable() -> str | None:
    """Return the server's start script, or None."""
    return shutil.which("rabbitmq-server", path=os.environ.get("PATH", "") + ":/usr/sbin")


class RabbitMQ:
    """:param folder: holds database, log and cookie; :param config: lines of rabbitmq.conf.

    :param within: a prefix of commands, for example to enter a namespace; :param address: to listen on.
    """

    def __init__(
        self, folder: Path, config: str = "", *, within: Sequence[str] = (), address: str = "127.0.0.1"
    ) -> None:
        self._folder = folder
        self._config = config
        self._within = within
        self.address = address
        self.port = free_port()
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"st2sensor-{uuid.uuid4().hex[:8]}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": address,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            # The distribution and the port mapper also listen on loopback.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
        }
        self._process: Server | None = None
        failures.remember(self)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.address}:{self.port}//"

    def start(self) -> None:
        script = executable()
        assert script is not None
        self._folder.chmod(0o777)
        (self._folder / "plugins").write_text("[].")
        (self._folder / "rabbitmq.conf").write_text(self._config)
        self._process = Server([*self._within, _real_script(script)], env=self._environment, folder=self._folder)
        eventually("RabbitMQ answers", self._answers, LATER)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl, and return its output."""
        script = Path(_real_script(executable() or "")).with_name("rabbitmqctl")
        command = [*self._within, str(script), "--node", self._environment["RABBITMQ_NODENAME"], *arguments]
        done = subprocess.run(
            command, env=self._environment, cwd=self._folder, check=True, capture_output=True, text=True, timeout=LATER
        )
        return done.stdout

    def control_script(self, prefix: str) -> str:
        """Make a rabbitmqctl for this node that shows exchanges and queues of a prefix with StackStorm's prefix.

        :param prefix: the real beginning of their names.
        """
        script = str(Path(_real_script(executable() or "")).with_name("rabbitmqctl"))
        command = [*self._within, script, "--node", self._environment["RABBITMQ_NODENAME"]]
        return CONTROL_SCRIPT.format(
            python=sys.executable,
            command=command,
            environment=self._environment,
            prefix=prefix,
            folder=str(self._folder),
        )

    def stop(self) -> None:
        """Stop cleanly: send SIGTERM to the Erlang virtual machine."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def testimony(self) -> Iterator[tuple[str, str]]:
        state = "answers" if self._answers() else "does not answer" if self.is_running else "is stopped"
        logs = "\n".join(failures.tail(file) for file in sorted((self._folder / "log").glob("*.log")))
        yield f"RabbitMQ at {self.address}:{self.port}", f"{state}\n{logs}"

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.end(number)
        # The port mapper is a daemon, in a session of its own.
        epmd = shutil.which("epmd")
        if epmd:
            subprocess.run([*self._within, epmd, "-kill"], env=self._environment, capture_output=True, check=False)
        self._process = None

    def _answers(self) -> bool:
        try:
            pika.BlockingConnection(parameters(self.url)).close()
        except UNREACHABLE:
            return False
        return True


def parameters(url: str) -> pika.ConnectionParameters:
    """Return pika's connection parameters; in a kombu URL a path of two slashes is the virtual host `/`."""
    split = urlsplit(url)
    return pika.ConnectionParameters(
        host=split.hostname, port=split.port, socket_timeout=SOON, stack_timeout=SOON, heartbeat=0
    )


def _real_script(wrapper: str) -> str:
    """Return the server's own script, because Debian's wrapper would switch to another user."""
    for candidate in sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")):
        return str(candidate)
    return wrapper
