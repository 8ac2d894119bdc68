"""`[messaging]`: the brokers' URLs, their options, and TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from oslo_config import cfg

from st2sensor.config.urls import ENCODED, checked, parts_of, separated, shown
from st2sensor.settings import Messaging, Tls

SCHEMES = ("amqp", "amqps", "pyamqp")

WEB = ("http", "https")

PORT, TLS_PORT = 5672, 5671

NO, YES = ("false", "0", "no", "off"), ("true", "1", "yes", "on")

CERTIFICATES = {"none": "none", "optional": "optional", "required": "required"} | {
    f"cert_{name}": name for name in ("none", "optional", "required")
}
"""Our values of ssl_cert_reqs, by the values that kombu uses."""

MECHANISMS = ("PLAIN", "AMQPLAIN", "EXTERNAL", "GSSAPI")

LONGEST_TIMEOUT = 15.0
"""Maximum of a URL's connect_timeout, in seconds."""

LONGEST_HEARTBEAT = 60.0
"""Maximum of a URL's heartbeat, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """One broker, as kombu reads its URL.

    :param tls: how to use TLS; None for no TLS.
    :param login_method: SASL mechanism; None leaves it to the broker.
    :param connect_timeout: seconds to connect; None for the default.
    :param heartbeat: seconds between two heartbeats; None for the default.
    """

    url: str
    host: str
    port: int
    user: str
    password: str
    virtual_host: str
    tls: Tls | None
    login_method: str | None
    connect_timeout: float | None
    heartbeat: float | None


def messaging(group: cfg.ConfigOpts.GroupAttr, local_path: Path, resolve: Callable[[str], Path]) -> Messaging:
    """Return the settings of the brokers. Raises ValueError naming the key, and no password."""
    key, urls = "[messaging] url", tuple(separated(group.url)) or (group.url,)
    if group.cluster_urls:
        # oslo.config has split a URL at a comma in its password.
        key, urls = "[messaging] cluster_urls", tuple(separated(",".join(group.cluster_urls)))
    schemes = {checked(key, url).scheme for url in urls}
    if not schemes <= {*SCHEMES, "local"} or ("local" in schemes and len(urls) > 1):
        raise ValueError(f"{key} = {shown(*urls)}: unknown transport; use amqp://... or local://")
    tls = _tls(group, resolve)
    if "local" not in schemes:
        for url in urls:
            broker_url(url, tls, group.login_method, key=key)
    serializer = group.serializer or ("json" if "local" in schemes else "pickle")
    if group.management_url and checked("[messaging] management_url", group.management_url).scheme not in WEB:
        raise ValueError(f"[messaging] management_url = {shown(group.management_url)}: write http://HOST:15672")
    return Messaging(
        urls=urls,
        prefix=group.prefix,
        serializer=serializer,
        routing_key=group.routing_key,
        tls=tls,
        login_method=group.login_method,
        compression=group.compression,
        retry_wait=group.connection_retry_wait / 1000,
        local_path=local_path,
        unrouted=group.unrouted or ("settle" if serializer == "json" else "keep"),
        management_url=group.management_url or None,
    )


def warnings(messaging: Messaging) -> Iterator[str]:
    """Yield a warning for each broker whose TLS is open to an attacker."""
    if messaging.urls[0].startswith("local:"):
        return
    for url in messaging.urls:
        tls = broker_url(url, messaging.tls, messaging.login_method).tls
        if tls is not None and tls.verify == "none":
            yield (
                f"[messaging] {shown(url)}: the broker's certificate is not checked, so an attacker on the network can"
                " read the password and all triggers; set ssl_ca_certs, or ssl_cert_reqs = required"
            )
        elif tls is not None and not tls.check_hostname:
            yield (
                f"[messaging] {shown(url)}: the host name in the broker's certificate is not checked, so any host"
                " with a certificate of the same authority can read the password and all triggers; set"
                " ssl_check_hostname = true"
            )


def broker_url(url: str, tls: Tls | None, login_method: str | None, *, key: str = "[messaging] url") -> BrokerUrl:
    """Return one broker. Options in its URL take precedence over those of `[messaging]`.

    Raises ValueError naming the key, and no password.
    """
    parts = parts_of(url)
    if parts is None or "," in parts.hosts:
        raise ValueError(
            f"{key} = {shown(url)}: this is not the URL of a broker; write amqp://USER:PASSWORD@HOST:PORT/VHOST,"
            f" and {ENCODED}"
        )
    options = _options(url, parts.query, key)
    chosen = _tls_of(url, parts.scheme, options, tls, key)
    host, _, port = parts.hosts.rpartition(":") if _has_port(parts.hosts) else (parts.hosts, "", "")
    return BrokerUrl(
        url=url,
        host=unquote(host).strip("[]").lower() or "localhost",
        port=int(port) if port else TLS_PORT if chosen else PORT,
        user=unquote(parts.user or "") or "guest",
        password=unquote(parts.password or "") or "guest",
        virtual_host=unquote(parts.path[1:]) or "/",
        tls=chosen,
        login_method=options.get("login_method", login_method),
        connect_timeout=options.get("connect_timeout"),
        heartbeat=options.get("heartbeat"),
    )


def _has_port(hosts: str) -> bool:
    return ":" in hosts.rpartition("]")[2]


def _options(url: str, query: str, key: str) -> dict[str, Any]:
    """Return a URL's options by name. Raises ValueError."""
    found: dict[str, Any] = {}
    for piece in filter(None, query.split("&")):
        ((name, value),) = parse_qsl(piece, keep_blank_values=True) or [(piece, "")]
        if name not in OPTIONS:
            raise ValueError(f"{key} = {shown(url)}: URLs have no option {name!r}; use {', '.join(OPTIONS)}")
        if name in found:
            raise ValueError(f"{key} = {shown(url)}: the option {name} occurs twice; remove one")
        try:
            found[name] = OPTIONS[name](value)
        except ValueError as exception:
            raise ValueError(f"{key} = {shown(url)}: {name}: {exception}") from None
    return found


def _boolean(text: str) -> bool:
    if text.lower() not in (*YES, *NO):
        raise ValueError("write true or false")
    return text.lower() in YES


def _certificates(text: str) -> str:
    if text.lower() not in CERTIFICATES:
        raise ValueError("write none, optional or required")
    return CERTIFICATES[text.lower()]


def _mechanism(text: str) -> str:
    if text not in MECHANISMS:
        raise ValueError(f"write one of {', '.join(MECHANISMS)}")
    return text


def _seconds(most: float) -> Callable[[str], float]:
    def seconds(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = 0.0
        if not 1 <= found <= most:
            raise ValueError(f"write seconds, from 1 to {most:g}")
        return found

    return seconds


def _file(text: str) -> str:
    if not Path(text).is_absolute():
        raise ValueError("write the file's absolute path")
    if not Path(text).is_file():
        raise ValueError(f"there is no file {text}; correct the path, or remove it")
    return text


OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "ssl": _boolean,
    "ssl_keyfile": _file,
    "ssl_certfile": _file,
    "ssl_ca_certs": _file,
    "ssl_cert_reqs": _certificates,
    "ssl_check_hostname": _boolean,
    "login_method": _mechanism,
    "connect_timeout": _seconds(LONGEST_TIMEOUT),
    "heartbeat": _seconds(LONGEST_HEARTBEAT),
}
"""The functions that read kombu's options in URLs, by option."""


def _tls_of(url: str, scheme: str, options: Mapping[str, Any], tls: Tls | None, key: str) -> Tls | None:
    """Return how to use TLS with one broker. Options in the URL override `[messaging]`. Raises ValueError."""
    detailed = any(name.startswith("ssl_") for name in options)
    everywhere = tls is not None and tls.everywhere
    is_wanted = options.get("ssl", everywhere or scheme == "amqps" or detailed)
    if not is_wanted:
        if scheme == "amqps":
            raise ValueError(f"{key} = {shown(url)}: amqps:// and ssl=false exclude each other; write amqp://")
        return None
    common = tls or Tls(key_file=None, certificate_file=None, ca_file=None, verify="none")
    authority = options.get("ssl_ca_certs")
    return Tls(
        key_file=options.get("ssl_keyfile", common.key_file),
        certificate_file=options.get("ssl_certfile", common.certificate_file),
        ca_file=authority or common.ca_file,
        verify=options.get("ssl_cert_reqs", "required" if authority and common.verify == "none" else common.verify),
        check_hostname=options.get("ssl_check_hostname", common.check_hostname),
    )


def _tls(group: cfg.ConfigOpts.GroupAttr, resolve: Callable[[str], Path]) -> Tls | None:
    """Return how to use TLS. As in StackStorm, `ssl` or any of the other keys enables it. Raises ValueError."""
    files = {name: _existing(group, name, resolve) for name in ("ssl_keyfile", "ssl_certfile", "ssl_ca_certs")}
    everywhere = bool(group.ssl or any(files.values()) or group.ssl_cert_reqs)
    if not everywhere and group.ssl_check_hostname:
        return None
    return Tls(
        key_file=files["ssl_keyfile"],
        certificate_file=files["ssl_certfile"],
        ca_file=files["ssl_ca_certs"],
        verify=group.ssl_cert_reqs or ("required" if files["ssl_ca_certs"] else "none"),
        check_hostname=group.ssl_check_hostname,
        everywhere=everywhere,
    )


def _existing(group: cfg.ConfigOpts.GroupAttr, name: str, resolve: Callable[[str], Path]) -> str | None:
    if not group[name]:
        return None
    file = resolve(group[name])
    if not file.is_file():
        raise ValueError(f"[messaging] {name}: there is no file {file}; correct the path, or remove the key")
    return str(file)
