"""The options of st2.conf, by section. StackStorm's options keep their names, defaults and meaning."""

from __future__ import annotations

from oslo_config import cfg

from st2sensor.config.container_options import SENSORCONTAINER

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
MESSAGING = [
    cfg.StrOpt(
        "url",
        default="amqp://guest:guest@127.0.0.1:5672//",
        help="URL of the broker: amqp://..., amqps://... or local://",
    ),
    cfg.ListOpt("cluster_urls", default=[], help="brokers of one cluster, separated by commas; replaces url"),
    cfg.StrOpt("prefix", default="st2", help="first part of every exchange's name"),
    cfg.StrOpt(
        "serializer",
        choices=["pickle", "json"],
        help="format of trigger instances; unset: pickle (which StackStorm requires) on amqp://, json on local://",
    ),
    cfg.StrOpt(
        "routing_key",
        default="trigger_instance",
        choices=["trigger_instance", "trigger"],
        help="routing key of trigger instances; trigger: the reference of the trigger type",
    ),
    cfg.BoolOpt("ssl", default=False, help="use TLS with the broker"),
    cfg.StrOpt("ssl_keyfile", help="file with the client's private key"),
    cfg.StrOpt("ssl_certfile", help="file with the client's certificate"),
    cfg.StrOpt("ssl_ca_certs", help="file of trusted certificates"),
    cfg.StrOpt(
        "ssl_cert_reqs",
        choices=["none", "optional", "required"],
        help="whether the broker must show a trusted certificate",
    ),
    cfg.BoolOpt(
        "ssl_check_hostname",
        default=True,
        help="whether the broker's certificate must name the host in the URL; false: accept any trusted certificate",
    ),
    cfg.StrOpt("management_url", help="URL of RabbitMQ's management API, which st2sensor why asks for bindings"),
    cfg.StrOpt("login_method", help="SASL mechanism, for example PLAIN, AMQPLAIN or EXTERNAL"),
    cfg.StrOpt("compression", choices=["zstd", "lzma", "bz2", "gzip"], help="compression of trigger instances"),
    cfg.IntOpt(
        "connection_retry_wait",
        default=10000,
        min=1,
        help="maximum number of milliseconds between two attempts to connect",
    ),
]
OUTBOX = [
    cfg.StrOpt(
        "durability",
        default="full",
        choices=["full", "process"],
        help="full: on disk before dispatch() returns; process: survives kill -9, but not power loss",
    ),
    cfg.IntOpt(
        "max_size",
        default=1_000_000,
        min=1,
        help="maximum number of waiting triggers; when it is reached, dispatch() blocks",
    ),
    cfg.IntOpt(
        "max_bytes",
        default=4_000_000_000,
        min=1,
        help="maximum size of all waiting triggers, in bytes; when it is reached, dispatch() blocks",
    ),
    cfg.FloatOpt(
        "dead_letters_max_age", default=30.0, min=0, help="days after which a running container deletes dead letters"
    ),
    cfg.IntOpt(
        "dead_letters_max_number", default=10_000, min=0, help="maximum number of dead letters; the newest are kept"
    ),
    cfg.IntOpt(
        "dead_letters_max_size",
        default=100_000_000,
        min=0,
        help="maximum size of all dead letters, in bytes; the newest are kept",
    ),
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
    cfg.StrOpt("host", default="127.0.0.1", help="address to listen on; an address beyond loopback requires API keys"),
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
        help="whether senders need an API key; auto: if any key exists, or host is beyond loopback",
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
        help="what to do about missed times later: fire for none of them (skip), once for all of them (once), or for"
        " each of them (all)",
    ),
    cfg.IntOpt(
        "max_missed",
        default=1000,
        min=1,
        help="maximum number of missed times that fire for one timer; the newest are kept",
    ),
]
SYSTEM_USER = [cfg.StrOpt("user", default="stanley", help="name of the user on whose behalf sensors act")]
LOG = [
    cfg.StrOpt(
        "format", default="text", choices=["text", "json"], help="format of log lines, unless a logging file is read"
    ),
    cfg.StrOpt(
        "stream",
        default="stderr",
        choices=["stderr", "stdout"],
        help="destination of log lines, unless a logging file is read",
    ),
    cfg.StrOpt(
        "level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        help="least severe level that is logged, unless a logging file is read",
    ),
    cfg.ListOpt("excludes", default=[], help="loggers to leave out, named by the start of their names"),
    cfg.BoolOpt("redirect_stderr", default=False, help="turn output to stderr into log records"),
    cfg.BoolOpt("mask_secrets", default=True, help="mask secrets of packs' configurations in the log"),
    cfg.ListOpt(
        "mask_secrets_blacklist", default=[], help="further keys of packs' configurations whose values are secret"
    ),
]
SYSLOG = [
    cfg.StrOpt(
        "host", default="127.0.0.1", help="host of the syslog server, for StackStorm's ConfigurableSyslogHandler"
    ),
    cfg.PortOpt("port", default=514, help="port of the syslog server"),
    cfg.StrOpt("facility", default="local7", help="name of the syslog facility"),
    cfg.StrOpt("protocol", default="udp", choices=["udp", "tcp"], help="protocol of the syslog server"),
]
METRICS = [
    cfg.StrOpt(
        "driver", default="noop", choices=["noop", "echo", "statsd"], help="destination of metrics; echo: the log"
    ),
    cfg.StrOpt("host", default="127.0.0.1", help="host of statsd"),
    cfg.PortOpt("port", default=8125, help="port of statsd"),
    cfg.StrOpt("prefix", help="text before each metric's name"),
    cfg.FloatOpt("sample_rate", default=1.0, min=0, max=1, help="share of the metrics that are sent"),
]

GROUPS = {
    "database": DATABASE,
    "messaging": MESSAGING,
    "outbox": OUTBOX,
    "content": CONTENT,
    "packs": PACKS,
    "system": SYSTEM,
    "system_user": SYSTEM_USER,
    "webhooks": WEBHOOKS,
    "timers": TIMERS,
    "keyvalue": KEYVALUE,
    "datastore": DATASTORE,
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
