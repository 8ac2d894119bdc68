"""Reads st2.conf into Settings. The only importer of oslo.config.

Keys that StackStorm has keep their names, defaults and meaning. A relative path is relative to the folder of the last
configuration file, so that a checkout can be moved.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import SplitResult, quote_plus, urlsplit

from oslo_config import cfg

from st2sensor.errors import ConfigError
from st2sensor.settings import (
    Container,
    Content,
    Database,
    Datastore,
    KeyValues,
    Messaging,
    Outbox,
    Restarts,
    Settings,
    Tls,
)

DEFAULT_CONFIG_FILE = "/etc/st2/st2.conf"

DATABASE = [
    cfg.StrOpt("connection", help="mongodb://... or sqlite:///FILE; unset: host, port and db_name below"),
    cfg.StrOpt("host", default="127.0.0.1", help="MongoDB's host, or a mongodb:// URI"),
    cfg.PortOpt("port", default=27017, help="MongoDB's port"),
    cfg.StrOpt("db_name", default="st2", help="MongoDB's database"),
    cfg.StrOpt("username", help="MongoDB's user"),
    cfg.StrOpt("password", secret=True, help="MongoDB's password"),
    cfg.IntOpt("connection_timeout", default=3000, min=1, help="milliseconds until a server is unreachable"),
]
MESSAGING = [
    cfg.StrOpt("url", default="amqp://guest:guest@127.0.0.1:5672//", help="amqp://... or local://"),
    cfg.ListOpt("cluster_urls", default=[], help="several brokers of one cluster, instead of url"),
    cfg.StrOpt("prefix", default="st2", help="first part of every exchange's name"),
    cfg.StrOpt(
        "serializer",
        choices=["pickle", "json"],
        help="of trigger instances; unset: pickle on amqp://, as StackStorm's consumers require, json on local://",
    ),
    cfg.StrOpt(
        "routing_key",
        default="trigger_instance",
        choices=["trigger_instance", "trigger"],
        help="of trigger instances: StackStorm's, or the reference of the trigger's type",
    ),
    cfg.BoolOpt("ssl", default=False, help="speak TLS to the broker"),
    cfg.StrOpt("ssl_keyfile", help="file of the client's private key"),
    cfg.StrOpt("ssl_certfile", help="file of the client's certificate"),
    cfg.StrOpt("ssl_ca_certs", help="file of certificates to trust"),
    cfg.StrOpt(
        "ssl_cert_reqs",
        choices=["none", "optional", "required"],
        help="whether the broker must show a certificate that is trusted",
    ),
    cfg.StrOpt("login_method", help="SASL mechanism, as in PLAIN, AMQPLAIN, EXTERNAL"),
]
OUTBOX = [
    cfg.StrOpt(
        "durability",
        default="full",
        choices=["full", "process"],
        help="full: on disk before dispatch() returns; process: survives kill -9, not power loss",
    ),
    cfg.IntOpt("max_size", default=1_000_000, min=1, help="triggers that wait at the most; then dispatch() blocks"),
    cfg.FloatOpt("dead_letters_max_age", default=30.0, min=0, help="days that dead letters are kept"),
    cfg.IntOpt("dead_letters_max_number", default=10_000, min=0, help="dead letters that are kept, the newest"),
]
CONTENT = [
    cfg.StrOpt("system_packs_base_path", default="$system.base_path/packs", help="folder of packs"),
    cfg.StrOpt("packs_base_paths", default="", help="more folders of packs, separated by colons; they come first"),
]
PACKS = [
    cfg.BoolOpt("enable_common_libs", default=False, help="whether a pack's sensors can import from its lib/"),
]
SYSTEM = [
    cfg.StrOpt("base_path", default="/opt/stackstorm", help="holds packs, configs and virtualenvs"),
    cfg.BoolOpt("validate_trigger_payload", default=True, help="keep invalid payloads out of the exchange"),
]
KEYVALUE = [
    cfg.BoolOpt("enable_encryption", default=True, help="whether secrets can be stored"),
    cfg.StrOpt(
        "encryption_key_path",
        default="/etc/st2/keys/datastore_key.json",
        help="file of the key that secrets are encrypted under",
    ),
    cfg.ListOpt("previous_key_paths", default=[], help="files of earlier keys, that secrets can still be read under"),
]
DATASTORE = [
    cfg.FloatOpt("timeout", default=30.0, min=0, help="seconds that a sensor's call waits for a database that is away"),
    cfg.StrOpt(
        "global_write",
        default="allow",
        choices=["allow", "deny"],
        help="whether sensors may change keys that all share; an override of a pack goes over it",
    ),
    cfg.StrOpt(
        "decrypt_global",
        default="allow",
        choices=["allow", "deny"],
        help="whether sensors may decrypt keys that all share; an override of a pack goes over it",
    ),
    cfg.BoolOpt("emit_triggers", default=True, help="announce changes as core.st2.key_value_pair.* triggers"),
]
SYSTEM_USER = [cfg.StrOpt("user", default="stanley", help="the user that sensors act as")]
SENSORCONTAINER = [
    cfg.StrOpt("state_dir", default="/var/lib/st2sensor", help="outbox, sockets and the embedded database"),
    cfg.FloatOpt("resync_interval", default=30.0, min=0.1, help="seconds between unasked looks at the database"),
    cfg.FloatOpt("start_timeout", default=60.0, min=0.1, help="seconds until a sensor's setup() is entered"),
    cfg.FloatOpt("setup_timeout", default=0.0, min=0, help="seconds that a setup() may take; 0: no limit"),
    cfg.FloatOpt("poll_timeout", default=0.0, min=0, help="seconds that a poll() may take; 0: no limit"),
    cfg.FloatOpt("stop_timeout", default=10.0, min=0, help="seconds that stopping sensors have, all together"),
    cfg.FloatOpt("restart_delay", default=1.0, min=0.01, help="seconds until a failed sensor starts again, doubling"),
    cfg.FloatOpt("restart_delay_max", default=300.0, min=0.01, help="seconds that the delay is doubled up to"),
    cfg.FloatOpt("restart_jitter", default=0.2, min=0, max=1, help="share of the delay that is left to chance"),
    cfg.FloatOpt("healthy_after", default=60.0, min=0, help="seconds of running that forget earlier failures"),
    cfg.IntOpt("failing_after", default=3, min=1, help="failures in a row that make one warning"),
    cfg.IntOpt("changes_at_once", default=20, min=1, help="sensors that are started or restarted at the same time"),
    cfg.FloatOpt("output_rate", default=200.0, min=0, help="lines a second of one sensor in the log; 0: all"),
    cfg.StrOpt(
        "eventlet",
        default="auto",
        choices=["auto", "always", "never"],
        help="which sensors eventlet is patched into before all else; auto: those whose code imports it",
    ),
    cfg.StrOpt("sensor_node_name", default="sensornode1", help="what this node is called where sensors are shared out"),
    cfg.DictOpt(
        "partition_provider",
        default={"name": "default"},
        help="which sensors are this node's, as in name:hash, hash_ranges:0..1024|2048..MAX",
    ),
]

GROUPS = {
    "database": DATABASE,
    "messaging": MESSAGING,
    "outbox": OUTBOX,
    "content": CONTENT,
    "packs": PACKS,
    "system": SYSTEM,
    "system_user": SYSTEM_USER,
    "keyvalue": KEYVALUE,
    "datastore": DATASTORE,
    "sensorcontainer": SENSORCONTAINER,
}


def load(config_files: Sequence[str]) -> Settings:
    """Read configuration files, later ones over earlier ones.

    Without any, `$ST2_CONF` or /etc/st2/st2.conf is read. Raises ConfigError naming file, key and remedy.
    """
    files = [os.path.abspath(path) for path in config_files] or [os.environ.get("ST2_CONF", DEFAULT_CONFIG_FILE)]
    for path in files:
        if not os.path.isfile(path):
            raise ConfigError(f"no configuration file at {path}: name one with --config-file")
    try:
        return _settings(_parse(files), files)
    except (cfg.Error, ValueError) as exception:
        raise ConfigError(f"{', '.join(files)}: {exception}") from exception


def _parse(files: Sequence[str]) -> cfg.ConfigOpts:
    options = cfg.ConfigOpts()
    for group, registered in GROUPS.items():
        options.register_opts(registered, group=group)
    options(args=[], project="st2", default_config_files=list(files), default_config_dirs=[], use_env=False)
    for group, registered in GROUPS.items():
        for option in registered:
            try:
                options[group][option.dest]
            except cfg.ConfigFileValueError as exception:
                reason = str(exception).partition(" is not valid: ")[2] or exception
                raise ValueError(f"[{group}] {option.name}: {reason}; it is: {option.help}") from exception
    return options


def _settings(options: cfg.ConfigOpts, files: Sequence[str]) -> Settings:
    folder = Path(files[-1]).parent

    def resolve(path: str) -> Path:
        return Path(os.path.normpath(folder / os.path.expanduser(path)))

    state_dir = resolve(options.sensorcontainer.state_dir)
    base_path = resolve(options.system.base_path)
    database_url = _database_url(options.database, resolve, state_dir)
    embedded = database_url.removeprefix("sqlite://") if database_url.startswith("sqlite:") else state_dir / "st2.db"
    user_paths = [path for path in options.content.packs_base_paths.split(":") if path]
    return Settings(
        source=", ".join(files),
        database=Database(
            url=database_url,
            name=options.database.db_name,
            connection_timeout=options.database.connection_timeout,
        ),
        messaging=_messaging(options.messaging, Path(embedded)),
        outbox=Outbox(
            durability=options.outbox.durability,
            max_size=options.outbox.max_size,
            dead_letters_max_age=options.outbox.dead_letters_max_age,
            dead_letters_max_number=options.outbox.dead_letters_max_number,
        ),
        content=Content(
            pack_paths=tuple(resolve(path) for path in [*user_paths, options.content.system_packs_base_path]),
            configs_path=base_path / "configs",
            virtualenvs_path=base_path / "virtualenvs",
            overrides_path=base_path / "overrides",
            enable_common_libs=options.packs.enable_common_libs,
        ),
        container=_container(options.sensorcontainer, state_dir, resolve),
        key_values=KeyValues(
            enable_encryption=options.keyvalue.enable_encryption,
            encryption_key_path=resolve(options.keyvalue.encryption_key_path),
            previous_key_paths=tuple(map(resolve, options.keyvalue.previous_key_paths)),
        ),
        datastore=Datastore(
            timeout=options.datastore.timeout,
            global_write=options.datastore.global_write,
            decrypt_global=options.datastore.decrypt_global,
            emit_triggers=options.datastore.emit_triggers,
        ),
        system_user=options.system_user.user,
        validate_trigger_payload=options.system.validate_trigger_payload,
    )


def _container(group: cfg.ConfigOpts.GroupAttr, state_dir: Path, resolve: Callable[[str], Path]) -> Container:
    provider = dict(group.partition_provider)
    if "partition_file" in provider:
        provider["partition_file"] = str(resolve(provider["partition_file"]))
    return Container(
        state_dir=state_dir,
        resync_interval=group.resync_interval,
        start_timeout=group.start_timeout,
        setup_timeout=group.setup_timeout or None,
        poll_timeout=group.poll_timeout or None,
        stop_timeout=group.stop_timeout,
        restarts=Restarts(
            delay=group.restart_delay,
            delay_max=group.restart_delay_max,
            jitter=group.restart_jitter,
            healthy_after=group.healthy_after,
            failing_after=group.failing_after,
        ),
        changes_at_once=group.changes_at_once,
        output_rate=group.output_rate,
        eventlet=group.eventlet,
        node_name=group.sensor_node_name,
        partition_provider=provider,
    )


def _database_url(group: cfg.ConfigOpts.GroupAttr, resolve: Callable[[str], Path], state_dir: Path) -> str:
    url = group.connection
    if url is None:
        return _stackstorm_url(group)
    scheme = _checked("[database] connection", url).scheme
    if scheme in ("mongodb", "mongodb+srv"):
        return str(url)
    if scheme == "sqlite":
        # sqlite:///FILE: three slashes are followed by a path, which is absolute when it starts with a fourth.
        path = url.removeprefix("sqlite://").removeprefix("/")
        return f"sqlite://{resolve(path) if path else state_dir / 'st2.db'}"
    raise ValueError(
        f"[database] connection = {_public(url)}: unknown storage; use mongodb://HOST:PORT or sqlite:///FILE"
    )


def _stackstorm_url(group: cfg.ConfigOpts.GroupAttr) -> str:
    if group.host.startswith(("mongodb://", "mongodb+srv://")):
        return str(group.host)
    login = f"{quote_plus(group.username)}:{quote_plus(group.password or '')}@" if group.username else ""
    return f"mongodb://{login}{group.host}:{group.port}"


def _messaging(group: cfg.ConfigOpts.GroupAttr, local_path: Path) -> Messaging:
    urls = tuple(group.cluster_urls) or (group.url,)
    schemes = {_checked("[messaging] url", url).scheme for url in urls}
    if not schemes <= {"amqp", "amqps", "pyamqp", "local"} or ("local" in schemes and len(urls) > 1):
        raise ValueError(
            f"[messaging] url = {', '.join(map(_public, urls))}: unknown transport; use amqp://... or local://"
        )
    serializer = group.serializer or ("json" if "local" in schemes else "pickle")
    return Messaging(
        urls=urls,
        prefix=group.prefix,
        serializer=serializer,
        routing_key=group.routing_key,
        tls=_tls(group, schemes),
        login_method=group.login_method,
        local_path=local_path,
    )


def _checked(key: str, url: str) -> SplitResult:
    """The parts of a URL. Raises ValueError naming the key, and no password."""
    if "#" in url:
        raise ValueError(f"{key} = {_public(url)}: write # in it as %23")
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:
            _ = parts.port
    except ValueError as exception:
        raise ValueError(f"{key} = {_public(url)}: {exception}") from exception
    return parts


def _public(url: str) -> str:
    """A URL without its password, however malformed it is."""
    return re.sub(r"//.*@", "//***@", url)


def _tls(group: cfg.ConfigOpts.GroupAttr, schemes: set[str]) -> Tls | None:
    """TLS is asked for by `ssl`, by an amqps:// URL, or by any of the files, as in StackStorm."""
    asked = group.ssl or "amqps" in schemes or group.ssl_keyfile or group.ssl_certfile or group.ssl_ca_certs
    if not (asked or group.ssl_cert_reqs):
        return None
    return Tls(
        key_file=group.ssl_keyfile,
        certificate_file=group.ssl_certfile,
        ca_file=group.ssl_ca_certs,
        verify=group.ssl_cert_reqs or ("required" if group.ssl_ca_certs else "none"),
    )
