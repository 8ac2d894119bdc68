"""The state folder of `st2sensor dev`: its own configuration, and links to the packs under development."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from st2sensor.cli.daemon.state_dir import holder
from st2sensor.cli.development import remedies
from st2sensor.datastore.keyring import make_key
from st2sensor.errors import ConfigError, ContentError, StateDirectoryBusy
from st2sensor.logs import setup as logs
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.metadata import pack_ref

SOCKET = "wrapper.sock"
SOCKET_LIMIT = 107
"""Longest path of a socket, in bytes."""

LEFT = ("outbox.db*", "known.json")
"""Files of an earlier run's container that a new container must not read."""

DATA = ("st2.db*",)
"""Files that --fresh deletes as well."""

COMMANDS = ("key set ", "run ")
"""Commands that messages advise, and that need the configuration in this folder."""

LINKS = ("packs", "configs", "overrides")
"""Folders that each start creates again."""

CONFIG = """\
# Written by st2sensor dev at each start.
[system]
base_path = .
[content]
system_packs_base_path = packs
[packs]
enable_common_libs = {common_libs}
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
logging = logging.conf
resync_interval = 5
restart_delay = 0.5
restart_delay_max = 5
healthy_after = 5
stop_timeout = 5
"""

LOGGING = f"""\
[loggers]
keys = root
[handlers]
keys = stderr
[formatters]
keys = gelf
[logger_root]
level = INFO
handlers = stderr
[handler_stderr]
class = StreamHandler
formatter = gelf
args = (sys.stderr,)
[formatter_gelf]
class = {logs.GELF}
format = %(message)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The state folder.

    :param path: the folder, under a name that is short enough for sockets.
    :param home: the folder itself.
    :param packs: folders of the packs, by reference.
    :param configs: configuration files, by reference of the pack.
    :param virtualenvs: whether the packs' requirements are installed.
    """

    path: Path
    home: Path
    packs: Mapping[str, Path]
    configs: Mapping[str, Path]
    virtualenvs: bool = True

    @property
    def config_file(self) -> Path:
        return self.path / "st2.conf"

    def as_given(self, text: str) -> str:
        """Return a message with the paths that the user gave, instead of the links in this folder, and with remedies
        that work here."""
        text = remedies.here(text, self.home, virtualenvs=self.virtualenvs)
        for ref, given in self.packs.items():
            text = text.replace(f"{self.path}/packs/{ref}/", "" if given == Path() else f"{given}/")
            config = self.configs.get(ref)
            linked = f"{self.path}/configs/{ref}.yaml"
            if config and linked in text:
                # A key of the datastore takes effect once a file is saved.
                text = text.replace("VALUE, then run st2ctl reload", f"VALUE, then save {config} again")
            text = text.replace(linked, str(config or given / config_schema.FILE))
            advice = "" if config else " in a file, and pass it with --config"
            text = text.replace(", then run st2ctl reload", advice)
        for command in COMMANDS:
            text = text.replace(
                f"st2sensor {command}", f"st2sensor --config-file {shlex.quote(str(self.home / 'st2.conf'))} {command}"
            )
        return text


@contextmanager
def opened(
    packs: Sequence[Path],
    state_dir: Path | None,
    configs: Sequence[Path],
    sensors: Sequence[str],
    *,
    fresh: bool,
    common_libs: bool,
    virtualenvs: bool = True,
) -> Iterator[Folder]:
    """Prepare the folder for a container.

    :param state_dir: the folder; None for one in the user's cache, which is the same for the same packs.
    :param sensors: the only sensors to run, by class or reference; empty for all.
    :param fresh: start with an empty datastore.
    :param common_libs: let sensors import from the pack's lib/.
    :param virtualenvs: whether the packs' requirements are installed.

    Raises ContentError for a malformed pack, ConfigError, and StateDirectoryBusy if another run uses the folder.
    """
    found = _packs(packs)
    home = (state_dir or _below_cache(found)).absolute()
    _make(home, fresh)
    given = _configs(configs, found)
    (home / "st2.conf").write_text(CONFIG.format(common_libs=common_libs))
    (home / "logging.conf").write_text(LOGGING)
    make_key(home / "datastore_key.json")
    for ref, path in found.items():
        (home / "packs" / ref).symlink_to(path.absolute())
        if ref in given:
            (home / "configs" / f"{ref}.yaml").symlink_to(given[ref].absolute())
        if sensors:
            (home / "overrides" / f"{ref}.yaml").write_text(json.dumps(_only(ref, sensors)))
    try:
        with short(home) as path:
            yield Folder(path=path, home=home, packs=found, configs=given, virtualenvs=virtualenvs)
    finally:
        (home / SOCKET).unlink(missing_ok=True)


def _packs(folders: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        if not (folder / "pack.yaml").is_file():
            problem = "this folder is not a pack: it has no pack.yaml; name a pack's folder, or add that file"
            raise ContentError(problem, file=str(folder))
        ref = pack_ref(folder / "pack.yaml")
        if ref in found:
            raise ConfigError(f"{folder} and {found[ref]} are both pack {ref}; name only one")
        found[ref] = folder
    return found


def _configs(files: Sequence[Path], packs: Mapping[str, Path]) -> dict[str, Path]:
    """Return the configuration files by pack. Raises ConfigError.

    If there is only one pack, a file belongs to it; otherwise, to the pack that the file is named after.
    """
    found: dict[str, Path] = {}
    for file in files:
        ref = next(iter(packs)) if len(packs) == 1 else file.stem
        if ref not in packs:
            raise ConfigError(f"--config {file}: no such pack; with several packs, name the file <pack>.yaml")
        if ref in found:
            raise ConfigError(f"--config {file}: pack {ref} already has {found[ref]}; name only one")
        found[ref] = file
    return found


def _only(pack: str, sensors: Sequence[str]) -> object:
    """Return overrides that disable all sensors except some."""
    classes = [name.rpartition(".")[2] for name in sensors if "." not in name or name.startswith(f"{pack}.")]
    return {
        "sensors": {
            "defaults": {"enabled": False},
            "exceptions": {name: {"enabled": True} for name in classes},
        }
    }


def _below_cache(packs: Mapping[str, Path]) -> Path:
    """Return a folder that is the same for the same packs, so that the datastore survives from run to run."""
    paths = "\n".join(str(path.resolve()) for path in packs.values())
    digest = hashlib.sha256(paths.encode()).hexdigest()[:8]
    return cache() / "dev" / f"{'-'.join(packs)[:64]}-{digest}"


def cache() -> Path:
    """Return the user's cache folder. st2sensor can recreate everything in it."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(folder) / "st2sensor"


def _make(home: Path, fresh: bool) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        process = holder(home)
        if process is not None:
            raise StateDirectoryBusy(
                f"{home} is in use by process {process}: another st2sensor dev runs these packs; stop it, or use "
                "another folder with --state-dir"
            )
        for pattern in (*LEFT, *DATA) if fresh else LEFT:
            for path in home.glob(pattern):
                path.unlink()
        for name in LINKS:
            shutil.rmtree(home / name, ignore_errors=True)
            (home / name).mkdir()
    except OSError as exception:
        raise ConfigError(
            f"cannot use {home}: {exception.strerror}; name another folder with --state-dir"
        ) from exception


@contextmanager
def short(home: Path) -> Iterator[Path]:
    """Yield the folder, or a link to it if its own name is too long for sockets."""
    if len(os.fsencode(home / SOCKET)) <= SOCKET_LIMIT:
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="st2sensor-") as folder:
        link = Path(folder) / "dev"
        link.symlink_to(home)
        yield link
