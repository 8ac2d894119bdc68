"""Settings of the database and the brokers."""

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
    :param connection_timeout: milliseconds after which a server counts as unreachable.
    :param client: options for pymongo's client besides the URL: TLS, login, compression.
    """

    url: str
    name: str
    connection_timeout: int
    client: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """`[messaging] ssl_*`.

    :param verify: `none`, `optional` or `required`: whether the broker must show a trusted certificate.
    :param check_hostname: whether a trusted certificate must name the requested host.
    :param everywhere: whether to use TLS with all brokers; otherwise only with those whose URLs ask for it.
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

    :param urls: URLs of the brokers, `amqp://...`, to try in order; or `local://` alone.
    :param prefix: first part of every exchange's name.
    :param serializer: format of trigger instances: `pickle` or `json`.
    :param routing_key: of trigger instances: `trigger_instance`, or `trigger` for the trigger type's reference.
    :param tls: how to use TLS; None leaves it to the URLs.
    :param login_method: SASL mechanism; None leaves it to the broker.
    :param compression: of bodies: `zstd`, `lzma`, `bz2` or `gzip`; None for no compression.
    :param retry_wait: maximum number of seconds between two attempts to reach the broker.
    :param local_path: database file behind `local://`.
    :param unrouted: what happens to a trigger instance that no queue takes: `settle` keeps it among the dead letters,
        `keep` in the outbox.
    :param management_url: URL of RabbitMQ's management API, `http://USER:PASSWORD@HOST:15672`; None not to use it.
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
    unrouted: str = "keep"
    management_url: str | None = None
