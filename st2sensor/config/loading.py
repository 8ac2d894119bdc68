"""Reads configuration files into Settings.

Keys that StackStorm has keep their names, defaults and meaning. Relative paths start at the folder of the last
configuration file that was named, or at the last folder that was named, so a checkout can be moved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from oslo_config import cfg

from st2sensor.config import brokers
from st2sensor.config.container import container
from st2sensor.config.core_sensors import enabled_sensors, timers, webhooks
from st2sensor.config.database import database, ignored_certificate
from st2sensor.config.files import files_of, misspelt, misspelt_variables, parse
from st2sensor.config.log import log
from st2sensor.config.secrets import secrets
from st2sensor.config.sections import section
from st2sensor.errors import ConfigError
from st2sensor.settings import Content, Datastore, History, KeyValues, Metrics, Outbox, Payloads, Push, Settings

DEFAULT_CONFIG_FILE = "/etc/st2/st2.conf"

VARIABLES = ("ST2_CONF", "ST2_CONFIG_PATH")
"""Variables that name the default file. StackStorm's st2ctl reads the first, and StackStorm's services the second."""


def load(config_files: Sequence[str]) -> Settings:
    """Read configuration files, and `ST2_<SECTION>__<KEY>` variables.

    Later files override earlier ones, and variables override files.

    A folder stands for its *.conf files, in order of their names. If no file is named, `$ST2_CONF`, `$ST2_CONFIG_PATH`
    or /etc/st2/st2.conf is read first.
    Raises ConfigError, which names the file, the key and the remedy.
    """
    default = _named_by_variable() or DEFAULT_CONFIG_FILE
    given = [os.path.abspath(path) for path in config_files] or [default]
    files = [path for item in given for path in files_of(item)]
    if all(map(os.path.isdir, given)) and os.path.isfile(default):
        files.insert(0, default)
    if not files:
        raise ConfigError(f"no *.conf in {', '.join(given)}: add one, or name a file with --config-file or $ST2_CONF")
    try:
        return _settings(parse(files, os.environ), files, Path(given[-1]).parent)
    except (cfg.Error, ValueError) as exception:
        raise ConfigError(f"{', '.join(files)}: {exception}") from exception


def load_if_any(config_files: Sequence[str]) -> Settings | None:
    """Like `load`, but return None if no file is named and this user cannot read the default file."""
    if not config_files and _named_by_variable() is None and not os.access(DEFAULT_CONFIG_FILE, os.R_OK):
        return None
    return load(config_files)


def _named_by_variable() -> str | None:
    return next((os.environ[name] for name in VARIABLES if name in os.environ), None)


def _settings(options: cfg.ConfigOpts, files: Sequence[str], folder: Path) -> Settings:
    """:param folder: the base of relative paths."""

    def resolve(path: str) -> Path:
        return Path(os.path.normpath(folder / os.path.expanduser(path)))

    state_dir = resolve(options.sensorcontainer.state_dir)
    chosen = database(options.database, resolve, state_dir)
    embedded = chosen.url.removeprefix("sqlite://") if chosen.url.startswith("sqlite:") else state_dir / "st2.db"
    messaging = brokers.messaging(options.messaging, Path(embedded), resolve)
    key_path = resolve(options.keyvalue.encryption_key_path)
    return Settings(
        source=", ".join(files),
        database=chosen,
        messaging=messaging,
        outbox=section(Outbox, options.outbox),
        history=section(History, options.history),
        push=section(Push, options.push, targets=resolve(options.push.targets) if options.push.targets else None),
        content=_content(options, resolve),
        container=container(options.sensorcontainer, state_dir, resolve),
        key_values=KeyValues(
            enable_encryption=options.keyvalue.enable_encryption,
            encryption_key_path=key_path,
            previous_key_paths=tuple(map(resolve, options.keyvalue.previous_key_paths)),
            makes_key=chosen.url.startswith("sqlite:") and key_path.parent == Path(embedded).parent,
        ),
        datastore=section(Datastore, options.datastore),
        secrets=secrets(options.secrets, resolve),
        webhooks=webhooks(options.webhooks, resolve),
        timers=timers(options.timers),
        log=log(options, resolve),
        metrics=section(Metrics, options.metrics),
        system_user=options.system_user.user,
        payloads=section(
            Payloads,
            options.system,
            validate=options.system.validate_trigger_payload,
            max_size=options.system.max_payload,
        ),
        warnings=(
            *misspelt(files),
            *misspelt_variables(os.environ),
            *ignored_certificate(options.database),
            *brokers.warnings(messaging),
        ),
    )


def _content(options: cfg.ConfigOpts, resolve: Callable[[str], Path]) -> Content:
    base_path = resolve(options.system.base_path)
    user_paths = [path for path in options.content.packs_base_paths.split(":") if path.strip()]
    return Content(
        # The order is the same as in StackStorm. A default path that is also given explicitly would occur twice.
        pack_paths=tuple(dict.fromkeys(map(resolve, [options.content.system_packs_base_path, *user_paths]))),
        configs_path=base_path / "configs",
        virtualenvs_path=base_path / "virtualenvs",
        overrides_path=base_path / "overrides",
        instances_path=base_path / "instances",
        enable_common_libs=options.packs.enable_common_libs,
        shadow_stackstorm=options.packs.shadow_stackstorm,
        core_sensors=enabled_sensors(options),
    )
