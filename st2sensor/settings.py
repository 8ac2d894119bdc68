"""All settings, as one frozen tree. Read once by `config`; everything below the command line gets plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """`[database]`.

    :param url: `mongodb://...` or `sqlite:///<absolute path>`.
    :param name: MongoDB's database, unless the URL names one.
    :param connection_timeout: milliseconds until a server counts as unreachable.
    :param client: what pymongo's client is given beside the URL: TLS, login, compression.
    """

    url: str
    name: str
    connection_timeout: int
    client: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """`[messaging] ssl_*`.

    :param verify: `none`, `optional` or `required`: whether the broker must show a certificate that is trusted.
    :param check_hostname: whether a certificate that is trusted has to name the host that was asked for.
    :param everywhere: whether all brokers are spoken to by TLS; otherwise those whose URLs ask for it.
    """

    key_file: str | None
    certificate_file: str | None
    ca_file: str | None
    verify: str
    check_hostname: bool = True
    everywhere: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Messaging:
    """`[messaging]`.

    :param urls: `amqp://...` brokers to try in order, or `local://` alone.
    :param prefix: first part of every exchange's name.
    :param serializer: `pickle` or `json`, of trigger instances.
    :param routing_key: of trigger instances: `trigger_instance`, or `trigger` for the reference of the trigger's type.
    :param tls: how to speak TLS to all of them; None leaves it to their URLs.
    :param login_method: SASL mechanism; None leaves it to the broker.
    :param compression: of bodies: `zstd`, `lzma`, `bz2` or `gzip`; None without.
    :param retry_wait: seconds between attempts to reach the broker, at the most.
    :param local_path: database file behind `local://`.
    """

    urls: tuple[str, ...]
    prefix: str
    serializer: str
    routing_key: str
    tls: Tls | None
    login_method: str | None
    compression: str | None = None
    retry_wait: float = 10.0
    local_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """`[outbox]`.

    :param durability: `full`: on disk before dispatch() returns; `process`: survives kill -9, not power loss.
    :param max_size: trigger instances that wait, at most, and `max_bytes` of them; then dispatch() waits.
    :param dead_letters_max_age: days after which dead letters are deleted.
    :param dead_letters_max_number: dead letters that are kept, the newest, and `dead_letters_max_size` bytes of them.
    """

    durability: str = "full"
    max_size: int = 1_000_000
    max_bytes: int = 4_000_000_000
    dead_letters_max_age: float = 30.0
    dead_letters_max_number: int = 10_000
    dead_letters_max_size: int = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """`[content]` and `[system] base_path`.

    :param pack_paths: folders that hold packs, in order; a pack found in an earlier one hides later ones.
    :param configs_path: folder of `<pack>.yaml` configuration files.
    :param virtualenvs_path: folder of packs' virtualenvs.
    :param overrides_path: folder of `_global.yaml` and `<pack>.yaml` with what operators override.
    :param enable_common_libs: `[packs]`: whether a pack's lib/ is importable.
    :param shadow_stackstorm: `[packs]`: whether our names hide a StackStorm that a pack's interpreter can import.
    :param core_sensors: which sensors of the bundled pack `core` are on: metadata files, without suffix.
    """

    pack_paths: tuple[Path, ...]
    configs_path: Path
    virtualenvs_path: Path
    overrides_path: Path
    enable_common_libs: bool = False
    shadow_stackstorm: bool = False
    core_sensors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """`[sensorcontainer] restart_*`: when a sensor that failed starts again. It never gives up.

    :param delay: seconds after the first failure; doubled after each further one.
    :param delay_max: seconds that it is doubled up to.
    :param jitter: share of the delay by which it is shortened or lengthened at random.
    :param healthy_after: seconds after which a run counts as healthy, and the next failure as the first.
    :param failing_after: failures in a row from which on a sensor counts as failing.
    """

    delay: float = 1.0
    delay_max: float = 300.0
    jitter: float = 0.2
    healthy_after: float = 60.0
    failing_after: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """`[sensorcontainer]`, of `partition_provider = name:shared`.

    :param lease: seconds within which the sensors of a container that died run elsewhere.
    :param capacity: how many sensors this one takes, in proportion to others.
    :param labels: what this one has that sensors may need.
    :param moves_at_once: sensors that it hands over to others at the same time, to balance them.
    """

    lease: float = 10.0
    capacity: float = 1.0
    labels: tuple[str, ...] = ()
    moves_at_once: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """`[sensorcontainer]`.

    :param state_dir: folder of the outbox, the wrappers' socket and the embedded database.
    :param resync_interval: seconds between looks at the database that no announcement asked for.
    :param start_timeout: seconds until setup() is entered.
    :param setup_timeout: seconds that setup() may take; None for ever.
    :param poll_timeout: seconds that a poll() may take; None for ever.
    :param trigger_timeout: seconds that add_trigger() and its like may take; None forever.
    :param stop_timeout: seconds that stopping sensors have, all together, before they are killed.
    :param restarts: when a sensor that failed starts again.
    :param changes_at_once: sensors that are started or restarted at the same time.
    :param output_rate: lines a second of one sensor that go to the log; 0 for all.
    :param private_environment: patterns of the names of variables that sensors do not inherit.
    :param eventlet: `auto`, `always` or `never`: which sensors eventlet is patched into before all else.
    :param sensor_ref: a sensor to run alone; None for all.
    :param single_sensor_mode: whether there must be one.
    :param node_name: what this node is called where sensors are shared out among nodes.
    :param partition_provider: how they are: `name`, and what that provider needs.
    :param sharing: how they are by leases; None where they are not.
    :param control_group: the group that may use the control socket, where there is one of that name.
    :param api_url: of StackStorm's API, which sensors are told; None for none.
    :param api_token_file: of a token for it; None for none.
    :param http: host and port of the status page; None for none.
    :param http_token: what is asked of who looks at it; None for nothing.
    """

    state_dir: Path
    resync_interval: float
    start_timeout: float
    setup_timeout: float | None
    poll_timeout: float | None
    trigger_timeout: float | None
    stop_timeout: float
    restarts: Restarts
    changes_at_once: int
    output_rate: float
    private_environment: tuple[str, ...]
    eventlet: str
    sensor_ref: str | None
    single_sensor_mode: bool
    node_name: str
    partition_provider: Mapping[str, str]
    sharing: Sharing | None
    control_group: str
    api_url: str | None
    api_token_file: Path | None
    http: tuple[str, int] | None
    http_token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValues:
    """`[keyvalue]`.

    :param enable_encryption: whether secrets can be stored.
    :param encryption_key_path: file of the key that encrypts.
    :param previous_key_paths: files of keys that values can still be read under.
    """

    enable_encryption: bool
    encryption_key_path: Path
    previous_key_paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Datastore:
    """`[datastore]`.

    :param timeout: seconds that a sensor's call waits for a database that is away.
    :param global_write: `allow` or `deny`: whether sensors may change keys that all share.
    :param decrypt_global: `allow` or `deny`: whether sensors may decrypt keys that all share.
    :param emit_triggers: whether changes are announced as core.st2.key_value_pair.* triggers.
    """

    timeout: float = 30.0
    global_write: str = "allow"
    decrypt_global: str = "allow"
    emit_triggers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """`[webhooks]`, without `enable`: what core.WebhookSensor is told.

    :param max_size: bytes of a body, at the most.
    :param timeout: seconds until a request's head, and then its body, has to be there.
    :param rate_limit: requests a second that one URL takes; 0 for any number.
    :param require_key: `auto`, `always` or `never`: whether senders need an API key.
    :param tls_certificate_file: with its chain; None for HTTP without TLS.
    """

    host: str = "127.0.0.1"
    port: int = 9101
    max_size: int = 1_048_576
    timeout: float = 15.0
    rate_limit: float = 0.0
    require_key: str = "auto"
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """`[timers]`, without `enable`: what core.TimerSensor is told.

    :param local_timezone: of timers that name none; None for this host's.
    :param missed: what becomes of times that were missed: `skip`, `once` or `all`.
    :param max_missed: of these, how many are fired at the most.
    """

    local_timezone: str | None = None
    missed: str = "once"
    max_missed: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`[log]`, and `[sensorcontainer] logging`.

    :param file: in logging.conf format; without one, lines go to a stream.
    :param stream: `stderr` or `stdout`; `format`: `text` or `json`; `level`: the least severe that is logged.
    :param excludes: loggers, by the start of their names, that are not heard.
    :param redirect_stderr: whether what the container writes to stderr becomes log records.
    :param mask_secrets: whether secrets of packs' configurations are masked in the log.
    :param secret_keys: keys of configurations that are secret whatever the schema says.
    :param syslog_address: `[syslog]`: host and port.
    :param syslog_facility: as in `local7`.
    :param syslog_socket: kind of the socket, as the socket module numbers them.
    :param debug: `[system] debug`: log everything, whatever else is said of levels.
    """

    file: Path | None = None
    stream: str = "stderr"
    format: str = "text"
    level: str = "INFO"
    excludes: tuple[str, ...] = ()
    redirect_stderr: bool = False
    mask_secrets: bool = True
    secret_keys: frozenset[str] = frozenset()
    syslog_address: tuple[str, int] = ("127.0.0.1", 514)
    syslog_facility: str = "local7"
    syslog_socket: int = 2
    debug: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """`[metrics]`.

    :param driver: `noop`, `echo` for the log, or `statsd`.
    :param prefix: put before each metric's name; None without.
    :param sample_rate: share of the metrics that is sent.
    """

    driver: str = "noop"
    host: str = "127.0.0.1"
    port: int = 8125
    prefix: str | None = None
    sample_rate: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """`[system]`: what payloads have to be.

    :param validate: `validate_trigger_payload`; false publishes payloads that break their schema, with a warning.
    :param validation_timeout: seconds that the check of one may take.
    :param max_size: `max_payload`, bytes of JSON.
    """

    validate: bool = True
    validation_timeout: float = 2.0
    max_size: int = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything.

    :param source: the configuration files that were read, for messages.
    :param system_user: `[system_user] user`.
    :param warnings: what looks misspelt in the files.
    """

    source: str
    database: Database
    messaging: Messaging
    outbox: Outbox
    content: Content
    container: Container
    key_values: KeyValues
    datastore: Datastore
    webhooks: Webhooks
    timers: Timers
    log: Log
    metrics: Metrics
    system_user: str
    payloads: Payloads
    warnings: tuple[str, ...] = ()
