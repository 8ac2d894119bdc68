"""The options of st2.conf, by section. StackStorm's have its names, defaults and meaning."""

from __future__ import annotations

from oslo_config import cfg

DATABASE = [
    cfg.StrOpt("connection", help="mongodb://... or sqlite:///FILE; unset: host, port and db_name below"),
    cfg.StrOpt("host", default="127.0.0.1", help="MongoDB's host, or a mongodb:// URI"),
    cfg.PortOpt("port", default=27017, help="MongoDB's port"),
    cfg.StrOpt("db_name", default="st2", help="MongoDB's database"),
    cfg.StrOpt("username", help="MongoDB's user"),
    cfg.StrOpt("password", secret=True, help="MongoDB's password"),
    cfg.IntOpt("connection_timeout", default=3000, min=1, help="milliseconds until a server is unreachable"),
    cfg.BoolOpt("tls", default=False, help="speak TLS to MongoDB"),
    cfg.StrOpt("tls_certificate_key_file", help="file of the client's certificate and private key"),
    cfg.StrOpt("tls_certificate_key_file_password", secret=True, help="password of that file"),
    cfg.StrOpt("tls_ca_file", help="file of certificates to trust"),
    cfg.BoolOpt("tls_allow_invalid_certificates", help="take any certificate"),
    cfg.BoolOpt("tls_allow_invalid_hostnames", default=False, help="take a certificate of another host"),
    cfg.BoolOpt("ssl", default=False, help="older name of tls"),
    cfg.StrOpt("ssl_keyfile", help="of no effect, as in StackStorm: see tls_certificate_key_file"),
    cfg.StrOpt("ssl_certfile", help="of no effect, as in StackStorm: see tls_certificate_key_file"),
    cfg.StrOpt("ssl_ca_certs", help="older name of tls_ca_file"),
    cfg.StrOpt(
        "ssl_cert_reqs",
        choices=["none", "optional", "required"],
        help="older form of tls_allow_invalid_certificates: none",
    ),
    cfg.BoolOpt("ssl_match_hostname", default=True, help="older form of tls_allow_invalid_hostnames: false"),
    cfg.StrOpt("authentication_mechanism", help="as in SCRAM-SHA-256, MONGODB-X509"),
    cfg.ListOpt("compressors", default=[], help="of the wire: zstd, zlib, snappy; those that are installed"),
    cfg.IntOpt("zlib_compression_level", min=-1, max=9, help="from -1 to 9"),
]
MESSAGING = [
    cfg.StrOpt("url", default="amqp://guest:guest@127.0.0.1:5672//", help="amqp://..., amqps://... or local://"),
    cfg.ListOpt("cluster_urls", default=[], help="several brokers of one cluster, separated by commas, instead of url"),
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
    cfg.BoolOpt(
        "ssl_check_hostname",
        default=True,
        help="whether the broker's certificate has to name the host of its URL; false: any that is trusted will do",
    ),
    cfg.StrOpt("login_method", help="SASL mechanism, as in PLAIN, AMQPLAIN, EXTERNAL"),
    cfg.StrOpt("compression", choices=["zstd", "lzma", "bz2", "gzip"], help="of the bodies of trigger instances"),
    cfg.IntOpt("connection_retry_wait", default=10000, min=1, help="milliseconds between attempts, at the most"),
]
OUTBOX = [
    cfg.StrOpt(
        "durability",
        default="full",
        choices=["full", "process"],
        help="full: on disk before dispatch() returns; process: survives kill -9, not power loss",
    ),
    cfg.IntOpt("max_size", default=1_000_000, min=1, help="triggers that wait at the most; then dispatch() blocks"),
    cfg.IntOpt("max_bytes", default=4_000_000_000, min=1, help="bytes of them at most; then dispatch() blocks"),
    cfg.FloatOpt(
        "dead_letters_max_age", default=30.0, min=0, help="days that dead letters are kept, while containers run"
    ),
    cfg.IntOpt("dead_letters_max_number", default=10_000, min=0, help="dead letters that are kept, the newest"),
    cfg.IntOpt("dead_letters_max_size", default=100_000_000, min=0, help="bytes of dead letters, the newest"),
]
CONTENT = [
    cfg.StrOpt("system_packs_base_path", default="$system.base_path/packs", help="folder of packs"),
    cfg.StrOpt(
        "packs_base_paths",
        default="",
        help="more folders of packs, separated by colons; they come after `system_packs_base_path`",
    ),
]
PACKS = [
    cfg.BoolOpt("enable_common_libs", default=False, help="whether a pack's sensors can import from its lib/"),
    cfg.BoolOpt(
        "shadow_stackstorm",
        default=False,
        help="whether st2reactor and st2common are ours also where a pack's interpreter can import StackStorm's",
    ),
]
SYSTEM = [
    cfg.StrOpt("base_path", default="/opt/stackstorm", help="holds packs, configs and virtualenvs"),
    cfg.BoolOpt("debug", default=False, help="log everything, as --debug does"),
    cfg.BoolOpt("validate_trigger_payload", default=True, help="keep invalid payloads out of the exchange"),
    cfg.FloatOpt(
        "validation_timeout",
        default=2.0,
        min=0.01,
        help="seconds to check one payload against its schema; one that takes longer becomes a dead letter",
    ),
    cfg.IntOpt(
        "max_payload",
        default=16_000_000,
        min=1000,
        help="bytes of JSON; a larger payload becomes a dead letter",
    ),
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
WEBHOOKS = [
    cfg.BoolOpt("enable", default=False, help="run core.WebhookSensor, which StackStorm's API stands in for"),
    cfg.StrOpt("host", default="127.0.0.1", help="where it listens; beyond loopback it asks for API keys"),
    cfg.PortOpt("port", default=9101, help="of that"),
    cfg.IntOpt("max_size", default=1_048_576, min=1, max=8_388_608, help="bytes of a body, at the most"),
    cfg.FloatOpt("timeout", default=15.0, min=0.1, help="seconds until a head, and then a body, has to be there"),
    cfg.FloatOpt("rate_limit", default=0.0, min=0, help="requests a second that one url takes; 0: any number"),
    cfg.StrOpt(
        "require_key",
        default="auto",
        choices=["auto", "always", "never"],
        help="an API key of senders; auto: once one was made, and where host is beyond loopback",
    ),
    cfg.StrOpt("tls_certificate_file", help="of the certificate and its chain; unset: no TLS"),
    cfg.StrOpt("tls_key_file", help="of its private key, where that is in another file"),
]
TIMERS = [
    cfg.BoolOpt("enable", default=False, help="run core.TimerSensor, which StackStorm's timer engine stands in for"),
    cfg.StrOpt("local_timezone", help="of timers that name none, as in Europe/Berlin; unset: this host's"),
    cfg.StrOpt(
        "missed",
        default="once",
        choices=["skip", "once", "all"],
        help="what becomes of times at which nothing ran: none of them, one for all, or each of them is fired",
    ),
    cfg.IntOpt("max_missed", default=1000, min=1, help="of all these, how many are fired for one timer: the last ones"),
]
SYSTEM_USER = [cfg.StrOpt("user", default="stanley", help="the user that sensors act as")]
LOG = [
    cfg.StrOpt("format", default="text", choices=["text", "json"], help="of lines, where no logging file is read"),
    cfg.StrOpt("stream", default="stderr", choices=["stderr", "stdout"], help="where they go"),
    cfg.StrOpt(
        "level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        help="the least severe that are logged",
    ),
    cfg.ListOpt("excludes", default=[], help="loggers, by the start of their names, that are not heard"),
    cfg.BoolOpt("redirect_stderr", default=False, help="what is written to stderr becomes log records"),
    cfg.BoolOpt("mask_secrets", default=True, help="replace secrets of packs' configurations in the log"),
    cfg.ListOpt("mask_secrets_blacklist", default=[], help="keys of configurations that are secret, too"),
]
SYSLOG = [
    cfg.StrOpt("host", default="127.0.0.1", help="where StackStorm's ConfigurableSyslogHandler of [log] sends to"),
    cfg.PortOpt("port", default=514, help="of that"),
    cfg.StrOpt("facility", default="local7", help="as syslog names it"),
    cfg.StrOpt("protocol", default="udp", choices=["udp", "tcp"], help="of that"),
]
METRICS = [
    cfg.StrOpt("driver", default="noop", choices=["noop", "echo", "statsd"], help="where counts and times go"),
    cfg.StrOpt("host", default="127.0.0.1", help="of statsd"),
    cfg.PortOpt("port", default=8125, help="of statsd"),
    cfg.StrOpt("prefix", help="put before each metric's name"),
    cfg.FloatOpt("sample_rate", default=1.0, min=0, max=1, help="share of the metrics that is sent"),
]
SENSORCONTAINER = [
    cfg.StrOpt(
        "logging",
        default="/etc/st2/logging.sensorcontainer.conf",
        help="file in logging.conf format; where the default is missing, stderr is logged to",
    ),
    cfg.StrOpt("state_dir", default="/var/lib/st2sensor", help="outbox, sockets and the embedded database"),
    cfg.FloatOpt("resync_interval", default=30.0, min=0.1, help="seconds between unasked looks at the database"),
    cfg.FloatOpt("start_timeout", default=60.0, min=0.1, help="seconds until a sensor's setup() is entered"),
    cfg.FloatOpt("setup_timeout", default=0.0, min=0, help="seconds that a setup() may take; 0: no limit"),
    cfg.FloatOpt("poll_timeout", default=0.0, min=0, help="seconds that a poll() may take; 0: no limit"),
    cfg.FloatOpt("trigger_timeout", default=0.0, min=0, help="seconds that an add_trigger() may take; 0: no limit"),
    cfg.FloatOpt("stop_timeout", default=10.0, min=0, help="seconds that stopping sensors have, all together"),
    cfg.FloatOpt("restart_delay", default=1.0, min=0.01, help="seconds until a failed sensor starts again, doubling"),
    cfg.FloatOpt("restart_delay_max", default=300.0, min=0.01, help="seconds that the delay is doubled up to"),
    cfg.FloatOpt("restart_jitter", default=0.2, min=0, max=1, help="share of the delay that is left to chance"),
    cfg.FloatOpt("healthy_after", default=60.0, min=0, help="seconds of running that forget earlier failures"),
    cfg.IntOpt("failing_after", default=3, min=1, help="failures in a row that make one warning"),
    cfg.IntOpt("changes_at_once", default=20, min=1, help="sensors that are started or restarted at the same time"),
    cfg.FloatOpt("output_rate", default=200.0, min=0, help="lines a second of one sensor in the log; 0: all"),
    cfg.ListOpt(
        "private_environment",
        default=[],
        help="names of environment variables that sensors do not inherit, as in AWS_*; ST2_* never are",
    ),
    cfg.StrOpt(
        "eventlet",
        default="auto",
        choices=["auto", "always", "never"],
        help="which sensors eventlet is patched into before all else; auto: those whose code imports it",
    ),
    cfg.StrOpt("sensor_ref", help="run this sensor alone, as --sensor-ref does"),
    cfg.BoolOpt("single_sensor_mode", default=False, help="insist on sensor_ref or --sensor-ref"),
    cfg.StrOpt(
        "sensor_node_name",
        default="sensornode1",
        help="what this node is called where sensors are shared out; with name:shared, unset is the host's name",
    ),
    cfg.DictOpt(
        "partition_provider",
        default={"name": "default"},
        help="which sensors are this node's, as in name:hash, hash_ranges:0..1024|2048..MAX, or name:shared",
    ),
    cfg.FloatOpt(
        "lease", default=10.0, min=3, help="name:shared: seconds in which a dead container's sensors run elsewhere"
    ),
    cfg.FloatOpt("capacity", default=1.0, min=0.01, help="name:shared: sensors that it takes, in proportion to others"),
    cfg.ListOpt("labels", default=[], help="name:shared: what it has that a sensor's runs_on may ask for"),
    cfg.IntOpt("moves_at_once", default=10, min=1, help="name:shared: sensors handed over at once to balance them"),
    cfg.StrOpt("control_group", default="st2", help="the group whose members may use st2sensor's control socket"),
    cfg.StrOpt("api_url", help="ST2_API_URL of sensors, for st2client, as in http://127.0.0.1:9101/v1"),
    cfg.StrOpt("api_token_file", help="file of a token for it, ST2_AUTH_TOKEN of sensors; read whenever one starts"),
    cfg.StrOpt("http", help="HOST:PORT of the status page, health and metrics; unset: none"),
    cfg.StrOpt("http_token", secret=True, help="what they ask for; a HOST beyond loopback needs one"),
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
"""Options by section."""

STACKSTORMS_SECTIONS = ("timer", "timersengine")
"""StackStorm's sections that look like ours and mean other services."""

STACKSTORMS = {
    "database": "connection_retry_max_delay_m connection_retry_backoff_max_s connection_retry_backoff_mul",
    "messaging": "connection_retries",
    "content": "pack_group system_runners_base_path runners_base_paths index_url",
    "system": "admin_user validate_trigger_parameters validate_output_schema",
    "system_user": "ssh_key_file",
    "sensorcontainer": "provider",
    "log": "file_path",
}
"""StackStorm's keys of these sections that mean nothing here. Retries: this container never gives up."""
