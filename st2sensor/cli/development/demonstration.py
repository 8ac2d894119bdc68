"""The folder of `st2sensor demo`: a configuration of its own with everything embedded, and packs to show."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from st2sensor.cli.daemon.state_dir import holder
from st2sensor.cli.development.folder import cache, short
from st2sensor.datastore.keyring import make_key
from st2sensor.errors import ConfigError, StateDirectoryBusy
from st2sensor.system.share import share

TEMPLATES = Path(__file__).parent.parent / "templates" / "demo"
"""The pack that watches this machine. Its files end with SUFFIX."""

SUFFIX = ".tmpl"

URL = "hello"
"""The webhook that a rule of the pack asks for."""

HTTP_PORT, WEBHOOK_PORT = 9105, 9101
"""Ports of the status page and of webhooks, as in the documentation. If a port is in use, another one is chosen."""

CONFIG = """\
# Written by st2sensor demo at each start. Everything is embedded in this folder.
[system]
base_path = .
[content]
system_packs_base_path = packs
[database]
connection = sqlite://
[messaging]
url = local://
serializer = json
[outbox]
durability = process
[keyvalue]
encryption_key_path = datastore_key.json
[sensorcontainer]
state_dir = .
http = 127.0.0.1:{http}
restart_delay = 2
restart_delay_max = 2
stop_timeout = 3
[webhooks]
enable = true
port = {webhooks}
"""


@contextmanager
def opened() -> Iterator[Path]:
    """Prepare the folder in the user's cache; yield its configuration file.

    Raises ConfigError, and StateDirectoryBusy if another demonstration is running.
    """
    home = cache() / "demo"
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        process = holder(home)
        if process is not None:
            raise StateDirectoryBusy(f"{home} is in use by process {process}: another st2sensor demo runs; stop it")
        # Start with an empty folder, so that every demonstration looks the same.
        for path in home.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (home / "packs").mkdir()
        (home / "packs" / "linux").symlink_to(share() / "packs" / "linux")
        _copy_pack(home / "packs" / "demo")
        make_key(home / "datastore_key.json")
        (home / "st2.conf").write_text(CONFIG.format(http=_port(HTTP_PORT), webhooks=_port(WEBHOOK_PORT)))
    except OSError as exception:
        raise ConfigError(
            f"cannot use {home}: {exception.strerror}; name another folder with the variable XDG_CACHE_HOME"
        ) from exception
    with short(home) as folder:
        yield folder / "st2.conf"


def write_rules(pack: Path, watched: Path) -> None:
    """Create a pack if it does not exist. Write two rules into it: one for lines of a file, one for posts to a URL."""
    rules = pack / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    if not (pack / "pack.yaml").exists():
        shutil.copyfile(TEMPLATES / f"pack.yaml{SUFFIX}", pack / "pack.yaml")
    for name, kind, parameters in (
        ("watch_demo_log", "linux.file_watch.line", {"file_path": str(watched)}),
        ("hello", "core.st2.webhook", {"url": URL}),
    ):
        rule = {"name": name, "trigger": {"type": kind, "parameters": parameters}}
        (rules / f"{name}.yaml").write_text(json.dumps(rule, indent=2) + "\n")


def _copy_pack(pack: Path) -> None:
    for path in TEMPLATES.rglob(f"*{SUFFIX}"):
        target = pack / path.relative_to(TEMPLATES).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _port(wanted: int) -> int:
    """Return a port that is free on loopback: the wanted one, if possible."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # A connection that has just been closed must not count as a use of the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError("no port is free on 127.0.0.1")


def below_home(path: Path) -> str:
    """Return a path as a person would type it."""
    home = os.path.expanduser("~")
    return f"~{str(path)[len(home) :]}" if home != "/" and path.is_relative_to(home) else str(path)
