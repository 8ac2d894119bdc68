"""Settings of the bundled pack's sensors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """`[webhooks]`, without `enable`: settings of core.WebhookSensor.

    :param max_size: maximum size of a request's body, in bytes.
    :param timeout: seconds within which a request's head must arrive, and then the same time for its body.
    :param rate_limit: maximum number of requests per second that one URL accepts; 0 for no limit.
    :param require_key: `auto`, `always` or `never`: whether senders need an API key.
    :param tls_certificate_file: file of the certificate and its chain; None for HTTP without TLS.
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
    """`[timers]`, without `enable`: settings of core.TimerSensor.

    :param local_timezone: time zone of timers that name none; None for this host's.
    :param missed: how missed times are made up for: not at all (`skip`), with one event for all of them (`once`), or
        with one event for each (`all`).
    :param max_missed: maximum number of missed times that fire for one timer.
    """

    local_timezone: str | None = None
    missed: str = "once"
    max_missed: int = 1000
