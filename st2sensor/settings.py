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
class Messaging:
    """`[messaging]`.

    :param urls: `amqp://...` brokers to try in order, or `local://` alone.
    :param prefix: first part of every exchange's name.
    :param serializer: `pickle` or `json`, of trigger instances.
    :param local_path: database file behind `local://`.
    """

    urls: tuple[str, ...]
    prefix: str
    serializer: str
    local_path: Path


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
    content: Content
    container: Container
    system_user: str
    validate_trigger_payload: bool
