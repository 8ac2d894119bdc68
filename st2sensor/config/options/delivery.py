"""The options of `[messaging]`, `[outbox]`, `[history]` and `[push]`."""

from __future__ import annotations

from oslo_config import cfg

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
    cfg.StrOpt(
        "unrouted",
        choices=["settle", "keep"],
        help="what happens to a trigger that no queue takes; settle: it is kept among the dead letters; keep: it waits "
        "in the outbox, and all later ones wait behind it; unset: settle with serializer = json, keep with pickle",
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
    cfg.FloatOpt(
        "unrouted_max_age",
        default=7.0,
        min=0,
        help="days after which a running container deletes triggers that no queue took",
    ),
    cfg.IntOpt(
        "unrouted_max_number",
        default=100_000,
        min=0,
        help="maximum number of triggers that no queue took; the newest are kept",
    ),
    cfg.IntOpt(
        "unrouted_max_size",
        default=100_000_000,
        min=0,
        help="maximum size of all triggers that no queue took, in bytes; the newest are kept",
    ),
]
HISTORY = [
    cfg.BoolOpt("enable", default=True, help="whether events are kept after the broker has them"),
    cfg.FloatOpt("max_age", default=7.0, min=0, help="days after which a running container deletes events"),
    cfg.IntOpt(
        "max_bytes",
        default=1_000_000_000,
        min=1_000_000,
        help="maximum size of the history's file, in bytes; the newest events are kept",
    ),
    cfg.StrOpt(
        "payloads",
        default="full",
        choices=["full", "none"],
        help="whether events are kept with their payloads; a pack's override takes precedence",
    ),
]
PUSH = [
    cfg.StrOpt("targets", help="YAML file with the targets that events are sent to over HTTP; unset: none"),
    cfg.FloatOpt("timeout", default=10.0, min=0.1, help="seconds within which a target must answer a request"),
    cfg.FloatOpt(
        "retry_max",
        default=60.0,
        min=0.1,
        help="maximum number of seconds between two attempts to send an event; attempts never stop",
    ),
]
