"""The options of st2.conf, by section. StackStorm's options keep their names, defaults and meaning."""

from __future__ import annotations

from oslo_config import cfg

from st2sensor.config.options.container import SENSORCONTAINER
from st2sensor.config.options.delivery import HISTORY, MESSAGING, OUTBOX, PUSH
from st2sensor.config.options.observing import LOG, METRICS, SYSLOG
from st2sensor.config.options.secrets import SECRETS

DATABASE = [
    cfg.StrOpt("connection", help="mongodb://... or sqlite:///FILE; unset: host, port and db_name below"),
    cfg.StrOpt("host", default="127.0.0.1", help="MongoDB's host, or a mongodb:// URI"),
    cfg.PortOpt("port", default=27017, help="MongoDB's port"),
    cfg.StrOpt("db_name", default="st2", help="MongoDB's database"),
    cfg.StrOpt("username", help="MongoDB's user"),
    cfg.StrOpt("password", secret=True, help="MongoDB's password"),
    cfg.IntOpt(
        "connection_timeout", default=3000, min=1, help="milliseconds after which a server counts as unreachable"
    ),
    cfg.BoolOpt("tls", default=False, help="use TLS with MongoDB"),
    cfg.StrOpt("tls_certificate_key_file", help="file with the client's certificate and private key"),
    cfg.StrOpt("tls_certificate_key_file_password", secret=True, help="password of tls_certificate_key_file"),
    cfg.StrOpt("tls_ca_file", help="file of trusted certificates"),
    cfg.BoolOpt("tls_allow_invalid_certificates", help="accept any certificate"),
    cfg.BoolOpt("tls_allow_invalid_hostnames", default=False, help="accept a certificate issued to another host"),
    cfg.BoolOpt("ssl", default=False, help="older name of tls"),
    cfg.StrOpt("ssl_keyfile", help="no effect, as in StackStorm; use tls_certificate_key_file"),
    cfg.StrOpt("ssl_certfile", help="no effect, as in StackStorm; use tls_certificate_key_file"),
    cfg.StrOpt("ssl_ca_certs", help="older name of tls_ca_file"),
    cfg.StrOpt(
        "ssl_cert_reqs",
        choices=["none", "optional", "required"],
        help="older form of tls_allow_invalid_certificates: none",
    ),
    cfg.BoolOpt("ssl_match_hostname", default=True, help="older form of tls_allow_invalid_hostnames: false"),
    cfg.StrOpt("authentication_mechanism", help="how to log in, for example SCRAM-SHA-256 or MONGODB-X509"),
    cfg.ListOpt(
        "compressors",
        default=[],
        help="compression methods for the connection, from zstd, zlib and snappy; they must be installed",
    ),
    cfg.IntOpt("zlib_compression_level", min=-1, max=9, help="zlib's compression level, from -1 to 9"),
]
CONTENT = [
    cfg.StrOpt("system_packs_base_path", default="$system.base_path/packs", help="folder of the packs"),
    cfg.StrOpt(
        "packs_base_paths",
        default="",
        help="further folders of packs, separated by colons; they come after `system_packs_base_path`",
    ),
]
PACKS = [
    cfg.BoolOpt("enable_common_libs", default=False, help="whether a pack's sensors can import from its lib/"),
    cfg.BoolOpt(
        "shadow_stackstorm",
        default=False,
        help="whether our st2reactor and st2common hide those of StackStorm, if a pack's interpreter can import them",
    ),
]
SYSTEM = [
    cfg.StrOpt(
        "base_path", default="/opt/stackstorm", help="folder of the packs, their configurations and their virtualenvs"
    ),
    cfg.BoolOpt("debug", default=False, help="log everything, as --debug does"),
    cfg.BoolOpt(
        "validate_trigger_payload",
        default=True,
        help="whether to keep invalid payloads out of the exchange",
    ),
    cfg.FloatOpt(
        "validation_timeout",
        default=2.0,
        min=0.01,
        help="seconds that checking one payload may take; a payload that takes longer becomes a dead letter",
    ),
    cfg.IntOpt(
        "max_payload",
        default=16_000_000,
        min=1000,
        help="maximum size of a payload, in bytes of JSON; a larger payload becomes a dead letter",
    ),
]
KEYVALUE = [
    cfg.BoolOpt("enable_encryption", default=True, help="whether secrets can be stored"),
    cfg.StrOpt(
        "encryption_key_path",
        default="/etc/st2/keys/datastore_key.json",
        help="file with the key that encrypts secrets",
    ),
    cfg.ListOpt("previous_key_paths", default=[], help="files with earlier keys, which still decrypt secrets"),
]
DATASTORE = [
    cfg.FloatOpt(
        "timeout", default=30.0, min=0, help="seconds that a sensor's call waits while the database is unreachable"
    ),
    cfg.StrOpt(
        "global_write",
        default="allow",
        choices=["allow", "deny"],
        help="whether sensors may change the keys that all sensors share; a pack's override takes precedence",
    ),
    cfg.StrOpt(
        "decrypt_global",
        default="allow",
        choices=["allow", "deny"],
        help="whether sensors may decrypt the keys that all sensors share; a pack's override takes precedence",
    ),
    cfg.BoolOpt(
        "emit_triggers", default=True, help="whether changes are announced as core.st2.key_value_pair.* triggers"
    ),
]
WEBHOOKS = [
    cfg.BoolOpt("enable", default=False, help="run core.WebhookSensor; not needed if StackStorm's API runs"),
    cfg.StrOpt(
        "host", default="127.0.0.1", help="address to listen on; any address except loopback makes API keys mandatory"
    ),
    cfg.PortOpt("port", default=9101, help="port to listen on"),
    cfg.IntOpt("max_size", default=1_048_576, min=1, max=8_388_608, help="maximum size of a request's body, in bytes"),
    cfg.FloatOpt(
        "timeout",
        default=15.0,
        min=0.1,
        help="seconds within which a request's head must arrive, and then the same time for its body",
    ),
    cfg.FloatOpt(
        "rate_limit", default=0.0, min=0, help="maximum number of requests per second that one URL accepts; 0: no limit"
    ),
    cfg.StrOpt(
        "require_key",
        default="auto",
        choices=["auto", "always", "never"],
        help="whether senders need an API key; auto: if any key was ever made, or host is not a loopback address",
    ),
    cfg.StrOpt("tls_certificate_file", help="file with the certificate and its chain; unset: no TLS"),
    cfg.StrOpt("tls_key_file", help="file with the private key, if it is not in tls_certificate_file"),
]
TIMERS = [
    cfg.BoolOpt("enable", default=False, help="run core.TimerSensor; not needed if StackStorm's timer engine runs"),
    cfg.StrOpt("local_timezone", help="time zone of timers that name none, such as Europe/Berlin; unset: this host's"),
    cfg.StrOpt(
        "missed",
        default="once",
        choices=["skip", "once", "all"],
        help="how missed times are made up for: not at all (skip), with one event for all of them (once), or with one"
        " event for each of them (all)",
    ),
    cfg.IntOpt(
        "max_missed",
        default=1000,
        min=1,
        help="maximum number of missed times that fire for one timer; the newest are kept",
    ),
]
SYSTEM_USER = [cfg.StrOpt("user", default="stanley", help="name of the user on whose behalf sensors act")]

GROUPS = {
    "database": DATABASE,
    "messaging": MESSAGING,
    "outbox": OUTBOX,
    "history": HISTORY,
    "push": PUSH,
    "content": CONTENT,
    "packs": PACKS,
    "system": SYSTEM,
    "system_user": SYSTEM_USER,
    "webhooks": WEBHOOKS,
    "timers": TIMERS,
    "keyvalue": KEYVALUE,
    "datastore": DATASTORE,
    "secrets": SECRETS,
    "log": LOG,
    "syslog": SYSLOG,
    "metrics": METRICS,
    "sensorcontainer": SENSORCONTAINER,
}
"""The options of each section."""

STACKSTORMS_SECTIONS = ("timer", "timersengine")
"""Sections of other StackStorm services that have names similar to ours."""

STACKSTORMS = {
    "database": "connection_retry_max_delay_m connection_retry_backoff_max_s connection_retry_backoff_mul",
    "messaging": "connection_retries",
    "content": "pack_group system_runners_base_path runners_base_paths index_url",
    "system": "admin_user validate_trigger_parameters validate_output_schema",
    "system_user": "ssh_key_file",
    "sensorcontainer": "provider",
    "log": "file_path",
}
"""StackStorm's keys that have no effect here, by section. They include limits on retries: we never give up."""
