"""The URLs of the database and the brokers, in messages never with their passwords."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

MONGODB = ("mongodb", "mongodb+srv")


def database_url(url: str, resolve: Callable[[str], Path], state_dir: Path) -> str:
    """`[database] connection`, with an absolute path. Raises ValueError."""
    scheme = checked("[database] connection", url).scheme
    if scheme in MONGODB:
        return url
    if scheme == "sqlite":
        # sqlite:///FILE: three slashes are followed by a path, which is absolute when it starts with a fourth.
        path = url.removeprefix("sqlite://").removeprefix("/")
        return f"sqlite://{resolve(path) if path else state_dir / 'st2.db'}"
    raise ValueError(
        f"[database] connection = {public(url)}: unknown storage; use mongodb://HOST:PORT or sqlite:///FILE"
    )


def mongodb_url(hosts: str, port: int) -> str:
    """The URL of one host, or of several separated by commas; the port is for those that have none."""
    found = []
    for host in filter(None, map(str.strip, hosts.split(","))):
        is_bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
        name = f"[{host}]" if is_bare_ipv6 else host
        has_port = re.search(r"[^:\]]:\d+$|\]:\d+$", name) is not None
        found.append(name if has_port else f"{name}:{port}")
    return f"mongodb://{','.join(found)}"


def checked(key: str, url: str) -> SplitResult:
    """The parts of a URL. Raises ValueError naming the key, and no password."""
    if "#" in url:
        raise ValueError(f"{key} = {public(url)}: write # in it as %23")
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:
            _ = parts.port
    except ValueError as exception:
        raise ValueError(f"{key} = {public(url)}: {exception}") from exception
    return parts


def listening(key: str, address: str, token: str | None) -> tuple[str, int]:
    """Host and port of HOST:PORT; an IPv6 address is in brackets. Raises ValueError naming the key.

    :param token: what who comes from elsewhere has to know.
    """
    parts = checked(key, f"//{address}")
    if not parts.hostname or not parts.port or parts.path or parts.username is not None:
        raise ValueError(f"{key} = {address}: write HOST:PORT, as in 127.0.0.1:9105")
    if not token and not _is_loopback(parts.hostname):
        raise ValueError(f"{key} = {address} is beyond loopback: set http_token, too, or use 127.0.0.1")
    return parts.hostname, parts.port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def public(url: str) -> str:
    """A URL without its password, however malformed it is."""
    return re.sub(r"//.*@", "//***@", url)
