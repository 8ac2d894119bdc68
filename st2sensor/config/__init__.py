"""Reads st2.conf into Settings. The package is the only importer of oslo.config.

Keys that StackStorm has keep their names, defaults and meaning. A relative path is relative to where the configuration
file that is named last is, or the folder of such files: so a checkout can be moved.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from oslo_config import cfg

from st2sensor.config import brokers
from st2sensor.config.files import files_of, misspelt, parse
from st2sensor.config.urls import MONGODB, api_url, checked, database_url, listening, mongodb_url
from st2sensor.errors import ConfigError
from st2sensor.settings import (
    Container,
    Content,
    Database,
    Datastore,
    KeyValues,
    Log,
    Metrics,
    Outbox,
    Payloads,
    Restarts,
    Settings,
    Sharing,
    Timers,
    Webhooks,
)

DEFAULT_CONFIG_FILE = "/etc/st2/st2.conf"
DEFAULT_LOG_FILE = "/etc/st2/logging.sensorcontainer.conf"

SHARED = "shared"
"""The partition provider whose containers share sensors by leases."""

STACKSTORM_NODE_NAME = "sensornode1"

CORE_SENSORS = {"webhook_sensor": "webhooks", "timer_sensor": "timers"}
"""Sensors of the bundled pack core, and the sections that enable them."""

SOCKETS = {"udp": int(socket.SOCK_DGRAM), "tcp": int(socket.SOCK_STREAM)}


def load(config_files: Sequence[str]) -> Settings:
    """Read configuration files, later ones over earlier ones, and `ST2_<SECTION>__<KEY>` variables over all.

    A folder stands for its *.conf files by name. Without any file, `$ST2_CONF` or /etc/st2/st2.conf is read first.
    Raises ConfigError naming file, key and remedy.
    """
    default = os.environ.get("ST2_CONF", DEFAULT_CONFIG_FILE)
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
    """The same; None when no file is named and there is none at the default place."""
    if not config_files and "ST2_CONF" not in os.environ and not os.path.isfile(DEFAULT_CONFIG_FILE):
        return None
    return load(config_files)


def _settings(options: cfg.ConfigOpts, files: Sequence[str], folder: Path) -> Settings:
    """:param folder: what relative paths are relative to."""

    def resolve(path: str) -> Path:
        return Path(os.path.normpath(folder / os.path.expanduser(path)))

    state_dir = resolve(options.sensorcontainer.state_dir)
    base_path = resolve(options.system.base_path)
    database = _database(options.database, resolve, state_dir)
    embedded = database.url.removeprefix("sqlite://") if database.url.startswith("sqlite:") else state_dir / "st2.db"
    messaging = brokers.messaging(options.messaging, Path(embedded), resolve)
    user_paths = [path for path in options.content.packs_base_paths.split(":") if path.strip()]
    return Settings(
        source=", ".join(files),
        database=database,
        messaging=messaging,
        outbox=Outbox(
            durability=options.outbox.durability,
            max_size=options.outbox.max_size,
            max_bytes=options.outbox.max_bytes,
            dead_letters_max_age=options.outbox.dead_letters_max_age,
            dead_letters_max_number=options.outbox.dead_letters_max_number,
            dead_letters_max_size=options.outbox.dead_letters_max_size,
        ),
        content=Content(
            # As in StackStorm. A default place that is written out is there twice.
            pack_paths=tuple(dict.fromkeys(map(resolve, [options.content.system_packs_base_path, *user_paths]))),
            configs_path=base_path / "configs",
            virtualenvs_path=base_path / "virtualenvs",
            overrides_path=base_path / "overrides",
            enable_common_libs=options.packs.enable_common_libs,
            shadow_stackstorm=options.packs.shadow_stackstorm,
            core_sensors=tuple(name for name, group in CORE_SENSORS.items() if options[group].enable),
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
        webhooks=_webhooks(options.webhooks, resolve),
        timers=Timers(
            local_timezone=_zone(options.timers.local_timezone),
            missed=options.timers.missed,
            max_missed=options.timers.max_missed,
        ),
        log=Log(
            file=_log_file(options.sensorcontainer.logging, resolve),
            stream=options.log.stream,
            format=options.log.format,
            level=options.log.level,
            excludes=tuple(options.log.excludes),
            redirect_stderr=options.log.redirect_stderr,
            mask_secrets=options.log.mask_secrets,
            secret_keys=frozenset(options.log.mask_secrets_blacklist),
            syslog_address=(options.syslog.host, options.syslog.port),
            syslog_facility=options.syslog.facility,
            syslog_socket=SOCKETS[options.syslog.protocol],
            debug=options.system.debug,
        ),
        metrics=Metrics(
            driver=options.metrics.driver,
            host=options.metrics.host,
            port=options.metrics.port,
            prefix=options.metrics.prefix,
            sample_rate=options.metrics.sample_rate,
        ),
        system_user=options.system_user.user,
        payloads=Payloads(
            validate=options.system.validate_trigger_payload,
            validation_timeout=options.system.validation_timeout,
            max_size=options.system.max_payload,
        ),
        warnings=(*misspelt(files), *_older_certificate(options.database), *brokers.warnings(messaging)),
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
        trigger_timeout=group.trigger_timeout or None,
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
        private_environment=tuple(group.private_environment),
        eventlet=group.eventlet,
        sensor_ref=group.sensor_ref,
        single_sensor_mode=group.single_sensor_mode,
        node_name=_node_name(group),
        partition_provider=provider,
        sharing=_sharing(group),
        control_group=group.control_group,
        api_url=api_url(group.api_url),
        api_token_file=resolve(group.api_token_file) if group.api_token_file else None,
        http=None if group.http is None else listening("[sensorcontainer] http", group.http, group.http_token),
        http_token=group.http_token or None,
    )


def _sharing(group: cfg.ConfigOpts.GroupAttr) -> Sharing | None:
    if group.partition_provider.get("name") != SHARED:
        return None
    labels = tuple(group.labels)
    return Sharing(lease=group.lease, capacity=group.capacity, labels=labels, moves_at_once=group.moves_at_once)


def _node_name(group: cfg.ConfigOpts.GroupAttr) -> str:
    """StackStorm's default would be every container's."""
    is_default = group.sensor_node_name == STACKSTORM_NODE_NAME
    shares = group.partition_provider.get("name") == SHARED
    return socket.gethostname() if shares and is_default else str(group.sensor_node_name)


def _database(group: cfg.ConfigOpts.GroupAttr, resolve: Callable[[str], Path], state_dir: Path) -> Database:
    if group.connection is not None:
        url = database_url(group.connection, resolve, state_dir)
    elif group.host.startswith(tuple(f"{scheme}://" for scheme in MONGODB)):
        url = group.host
        checked("[database] host", url)
    else:
        url = mongodb_url(group.host, group.port)
    return Database(
        url=url,
        name=group.db_name,
        connection_timeout=group.connection_timeout,
        client=_client(group),
    )


def _client(group: cfg.ConfigOpts.GroupAttr) -> dict[str, Any]:
    """What pymongo's client is given beside the URL, whose own login comes first."""
    options: dict[str, Any] = {}
    if group.username and "@" not in group.host:
        options |= {"username": group.username, "password": group.password}
    certificate = group.tls_certificate_key_file
    authority = group.tls_ca_file or group.ssl_ca_certs
    mechanism = group.authentication_mechanism
    if group.tls or group.ssl or certificate or authority or group.ssl_cert_reqs or mechanism:
        lax = group.tls_allow_invalid_certificates
        options |= {
            "tls": True,
            "tlsCertificateKeyFile": certificate,
            "tlsCertificateKeyFilePassword": group.tls_certificate_key_file_password,
            "tlsCAFile": authority,
            "tlsAllowInvalidCertificates": group.ssl_cert_reqs == "none" if lax is None else lax,
            "tlsAllowInvalidHostnames": group.tls_allow_invalid_hostnames or not group.ssl_match_hostname,
        }
    options |= {
        "authMechanism": mechanism,
        "compressors": ",".join(group.compressors) or None,
        "zlibCompressionLevel": group.zlib_compression_level,
    }
    return {name: value for name, value in options.items() if value is not None}


def _older_certificate(group: cfg.ConfigOpts.GroupAttr) -> Iterator[str]:
    if group.connection is None and (group.ssl_keyfile or group.ssl_certfile) and not group.tls_certificate_key_file:
        yield (
            "[database] ssl_keyfile and ssl_certfile have no effect, as in StackStorm from 3.9 on: put certificate and "
            "key into one file, and set tls_certificate_key_file to it"
        )


def _webhooks(group: cfg.ConfigOpts.GroupAttr, resolve: Callable[[str], Path]) -> Webhooks:
    certificate, key = group.tls_certificate_file, group.tls_key_file
    if key and not certificate:
        raise ValueError("[webhooks] tls_key_file: tls_certificate_file is missing; set it to the certificate's file")
    return Webhooks(
        host=group.host,
        port=group.port,
        max_size=group.max_size,
        timeout=group.timeout,
        rate_limit=group.rate_limit,
        require_key=group.require_key,
        tls_certificate_file=str(resolve(certificate)) if certificate else None,
        tls_key_file=str(resolve(key)) if key else None,
    )


def _zone(name: str | None) -> str | None:
    """A time zone, if there is one of that name. Raises ValueError."""
    try:
        return name and ZoneInfo(name).key
    except (LookupError, ValueError, OSError) as exception:
        raise ValueError(
            f"[timers] local_timezone: there is no time zone {name}; write it as in Europe/Berlin, or remove the key"
        ) from exception


def _log_file(path: str, resolve: Callable[[str], Path]) -> Path | None:
    """A file of one's own must be there; StackStorm's need not. Raises ValueError."""
    file = resolve(path)
    if file.is_file():
        return file
    if path == DEFAULT_LOG_FILE:
        return None
    raise ValueError(f"[sensorcontainer] logging: there is no file {file}; correct the path, or remove the key")
