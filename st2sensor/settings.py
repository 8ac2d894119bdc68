"""All settings, as one frozen tree. Read once by `config`; everything below the command line gets plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """`[database]`.

    :param url: `mongodb://...` or `sqlite:///<absolute path>`.
    :param name: MongoDB's database.
    :param connection_timeout: milliseconds until a server counts as unreachable.
    """

    url: str
    name: str
    connection_timeout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """`[messaging] ssl_*`.

    :param verify: `none`, `optional` or `required`: whether the broker must show a certificate that is trusted.
    """

    key_file: str | None
    certificate_file: str | None
    ca_file: str | None
    verify: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Messaging:
    """`[messaging]`.

    :param urls: `amqp://...` brokers to try in order, or `local://` alone.
    :param prefix: first part of every exchange's name.
    :param serializer: `pickle` or `json`, of trigger instances.
    :param routing_key: of trigger instances: `trigger_instance`, or `trigger` for the reference of the trigger's type.
    :param tls: how to speak TLS; None without.
    :param login_method: SASL mechanism; None leaves it to the broker.
    :param local_path: database file behind `local://`.
    """

    urls: tuple[str, ...]
    prefix: str
    serializer: str
    routing_key: str
    tls: Tls | None
    login_method: str | None
    local_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """`[outbox]`.

    :param durability: `full`: on disk before dispatch() returns; `process`: survives kill -9, not power loss.
    :param max_size: trigger instances that wait for the broker, at the most; then dispatch() blocks.
    :param dead_letters_max_age: days after which dead letters are deleted.
    :param dead_letters_max_number: dead letters that are kept, the newest.
    """

    durability: str = "full"
    max_size: int = 1_000_000
    dead_letters_max_age: float = 30.0
    dead_letters_max_number: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """`[content]` and `[system] base_path`.

    :param pack_paths: folders that hold packs, in order; a pack found in an earlier one hides later ones.
    :param configs_path: folder of `<pack>.yaml` configuration files.
    :param virtualenvs_path: folder of packs' virtualenvs.
    """

    pack_paths: tuple[Path, ...]
    configs_path: Path
    virtualenvs_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """`[sensorcontainer]`.

    :param state_dir: folder of the outbox, the wrappers' socket and the embedded database.
    :param stop_timeout: seconds that stopping sensors have, all together, before they are killed.
    :param resync_interval: seconds between looks at the database that no announcement asked for.
    """

    state_dir: Path
    stop_timeout: float
    resync_interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything.

    :param source: the configuration files that were read, for messages.
    :param system_user: `[system_user] user`.
    :param validate_trigger_payload: `[system]`; false publishes invalid payloads with a warning.
    """

    source: str
    database: Database
    messaging: Messaging
    outbox: Outbox
    content: Content
    container: Container
    system_user: str
    validate_trigger_payload: bool
