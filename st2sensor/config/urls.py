"""URLs of the database and the brokers: their parts, and how they are shown, always without passwords."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

MONGODB = ("mongodb", "mongodb+srv")

FILES = ("sqlite", "local")
"""Schemes of URLs that name a file and never contain a password."""

HIDDEN = "***"
"""Stands for text that may be a password."""

SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*://"

SEPARATOR = re.compile(rf"[\s,;]+(?={SCHEME})")
"""Separates two URLs. Any other comma or semicolon is part of its URL."""

HOST = r"(?:[\w.%\-]*|\[[\w:.%]+\])(?::\d{0,5})?"

URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://"
    r"(?:(?P<login>[^/?#]*)@)?"
    rf"(?P<hosts>{HOST}(?:,{HOST})*)"
    r"(?P<path>/[^?#@\s]*)?"
    r"(?:\?(?P<query>[^#@\s]*))?",
    re.ASCII,
)
"""A URL with unambiguous parts. An @ after the host would be ambiguous: a password may contain a slash."""

ENCODED = "in a user or password write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A, [ as %5B, ] as %5D"

PLAIN_USER = re.compile(r"[\w.~+\-]+", re.ASCII)

PLAIN_HOST = re.compile(r"[\w.\[\]:\-]+/*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a URL of one or several servers, as written.

    :param user: user of the login; None if the URL has none.
    :param password: password of the login; None if the URL has none.
    :param hosts: hosts with their ports.
    :param path: path, including its first slash.
    :param query: query, without its question mark.
    """

    scheme: str
    user: str | None
    password: str | None
    hosts: str
    path: str
    query: str


def parts_of(url: str) -> Parts | None:
    """Return the parts of a URL; None if they are ambiguous."""
    found = URL.fullmatch(url.strip())
    if found is None or re.search(r"[\x00-\x1f\x7f]", found[0]):
        return None
    login = found["login"]
    user, colon, password = (login or "").partition(":")
    return Parts(
        scheme=found["scheme"].lower(),
        user=None if login is None else user,
        password=password if colon else None,
        hosts=found["hosts"],
        path=found["path"] or "",
        query=found["query"] or "",
    )


def separated(text: str) -> list[str]:
    """Return the URLs of a list. They may be separated by commas, semicolons or white space."""
    return [piece.strip(" \t\r\n,;") for piece in SEPARATOR.split(text) if piece.strip(" \t\r\n,;")]


def shown(*urls: str, login: bool = True) -> str:
    """Return URLs, perhaps malformed ones, in a form that may be shown. Options are omitted: they may hold passwords.

    :param login: whether to show the user of the login.
    """
    pieces = [piece for url in urls for piece in separated(url)]
    if not all(re.match(SCHEME, piece) for piece in pieces):
        # A URL was split, perhaps within its password.
        return HIDDEN
    return ", ".join(_shown(piece, login) for piece in pieces)


def _shown(url: str, login: bool) -> str:
    scheme, _, rest = url.partition("://")
    if scheme.lower() in FILES:
        return url
    parts = parts_of(url)
    if parts is None:
        host = rest.rpartition("@")[2] if "@" in rest else ""
        return f"{scheme}://{HIDDEN}@{host}" if PLAIN_HOST.fullmatch(host) else f"{scheme}://{HIDDEN}"
    who = ""
    if login and parts.user is not None:
        user = parts.user if not parts.user or PLAIN_USER.fullmatch(parts.user) else HIDDEN
        who = f"{user}@" if parts.password is None else f"{user}:**@"
    return f"{parts.scheme}://{who}{parts.hosts}{parts.path}"


def without_secrets(text: str, urls: Iterable[str]) -> str:
    """Remove the passwords of URLs from the message of a library or a server, which may quote them."""
    for url in urls:
        parts = parts_of(url)
        if parts is None:
            return HIDDEN
        if parts.password and unquote(parts.password) != unquote(parts.user or ""):
            for secret in _spellings(parts.password):
                text = text.replace(secret, HIDDEN)
    return re.sub(rf"({SCHEME})\S*@", rf"\1{HIDDEN}@", text)


def _spellings(password: str) -> Iterator[str]:
    """Yield forms in which a password may be quoted: unchanged, decoded, encoded, or escaped as in Python or JSON."""
    for plain in (password, unquote(password)):
        yield plain
        yield quote(plain, safe="")
        yield repr(plain)[1:-1]
        yield repr(f"{plain}'\"")[1:-4]
        yield json.dumps(plain)[1:-1]


def database_url(url: str, resolve: Callable[[str], Path], state_dir: Path) -> str:
    """Return `[database] connection` with an absolute path. Raises ValueError."""
    scheme = checked("[database] connection", url).scheme
    if scheme in MONGODB:
        return url
    if scheme == "sqlite":
        # In sqlite:///FILE a path follows the three slashes. It is absolute if it starts with a fourth.
        path = url.removeprefix("sqlite://").removeprefix("/")
        return f"sqlite://{resolve(path) if path else state_dir / 'st2.db'}"
    raise ValueError(
        f"[database] connection = {shown(url)}: unknown storage; use mongodb://HOST:PORT or sqlite:///FILE"
    )


def mongodb_url(hosts: str, port: int) -> str:
    """Return the URL of hosts separated by commas. Hosts without a port get the given one."""
    found = []
    for host in filter(None, map(str.strip, hosts.split(","))):
        is_bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
        name = f"[{host}]" if is_bare_ipv6 else host
        has_port = re.search(r"[^:\]]:\d+$|\]:\d+$", name) is not None
        found.append(name if has_port else f"{name}:{port}")
    return f"mongodb://{','.join(found)}"


def checked(key: str, url: str) -> SplitResult:
    """Return the parts of a URL. Raises ValueError naming the key, and no password."""
    if "#" in url:
        raise ValueError(f"{key} = {shown(url)}: write # in it as %23")
    try:
        parts = urlsplit(url)
    except ValueError:
        # The text of this exception would quote a possible password.
        raise ValueError(f"{key} = {shown(url)}: this is not a URL; {ENCODED}") from None
    if parts.scheme not in FILES and "@" in f"{parts.path}{parts.query}":
        raise ValueError(f"{key} = {shown(url)}: there is an @ after the host; {ENCODED}")
    try:
        if "," not in parts.netloc:
            _ = parts.port
    except ValueError:
        raise ValueError(f"{key} = {shown(url)}: the port must be a number up to 65535; {ENCODED}") from None
    return parts


def listening(key: str, address: str, token: str | None) -> tuple[str, int]:
    """Return host and port of HOST:PORT; an IPv6 address must be in brackets. Raises ValueError naming the key.

    :param token: token that visitors need; required unless the address is a loopback address.
    """
    try:
        parts = urlsplit(f"//{address}")
        port = parts.port
    except ValueError as exception:
        raise ValueError(f"{key} = {address}: {exception}; write HOST:PORT, for example 127.0.0.1:9105") from exception
    if not parts.hostname or not port or parts.path or parts.username is not None:
        raise ValueError(f"{key} = {address}: write HOST:PORT, for example 127.0.0.1:9105")
    if not token and not is_loopback(parts.hostname):
        raise ValueError(f"{key} = {address} is not a loopback address: also set http_token, or use 127.0.0.1")
    return parts.hostname, port


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def api_url(url: str | None) -> str | None:
    """Return the URL of StackStorm's API. Raises ValueError that does not quote the URL, which may hold a password."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()
        # Raises ValueError for an invalid port.
        _ = parts.port
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(
            "[sensorcontainer] api_url: this is not an http:// or https:// URL; "
            "write one such as http://127.0.0.1:9101/v1"
        )
    return url
