"""The URLs of the database and the brokers: what they say, and how people see them, never with their passwords."""

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
"""Schemes whose URLs name a file, and never a password."""

HIDDEN = "***"
"""Stands for what cannot be told apart from a password."""

SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*://"

SEPARATOR = re.compile(rf"[\s,;]+(?={SCHEME})")
"""Between two URLs. A comma or semicolon elsewhere belongs to the URL that it is in."""

HOST = r"(?:[\w.%\-]*|\[[\w:.%]+\])(?::\d{0,5})?"

URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://"
    r"(?:(?P<login>[^/?#]*)@)?"
    rf"(?P<hosts>{HOST}(?:,{HOST})*)"
    r"(?P<path>/[^?#@\s]*)?"
    r"(?:\?(?P<query>[^#@\s]*))?",
    re.ASCII,
)
"""What can be told apart for sure: an @ behind the host may be the end of a password with a slash in it."""

ENCODED = "in a user or password write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A, [ as %5B, ] as %5D"

PLAIN_USER = re.compile(r"[\w.~+\-]+", re.ASCII)

PLAIN_HOST = re.compile(r"[\w.\[\]:\-]+/*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A URL of one server or several, as it is written.

    :param user: of the login, and `password`; None where the URL has none.
    :param hosts: with their ports.
    :param path: from its slash on, and `query` without its question mark.
    """

    scheme: str
    user: str | None
    password: str | None
    hosts: str
    path: str
    query: str


def parts_of(url: str) -> Parts | None:
    """What a URL consists of; None for one that cannot be told apart for sure."""
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
    """The URLs of a list, whether a comma, a semicolon or a space is between them."""
    return [piece.strip(" \t\r\n,;") for piece in SEPARATOR.split(text) if piece.strip(" \t\r\n,;")]


def shown(*urls: str, login: bool = True) -> str:
    """URLs as people may see them, however malformed they are. Options may hold passwords, too: they are left out.

    :param login: whether to say which user logs in.
    """
    pieces = [piece for url in urls for piece in separated(url)]
    if not all(re.match(SCHEME, piece) for piece in pieces):
        # One was cut in two, perhaps within its password: nobody knows where.
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
    """What a library or a server says, without the passwords of URLs that it may quote."""
    for url in urls:
        parts = parts_of(url)
        if parts is None:
            return HIDDEN
        if parts.password and unquote(parts.password) != unquote(parts.user or ""):
            for secret in _spellings(parts.password):
                text = text.replace(secret, HIDDEN)
    return re.sub(rf"({SCHEME})\S*@", rf"\1{HIDDEN}@", text)


def _spellings(password: str) -> Iterator[str]:
    """How a text may quote a password: as it is, decoded, encoded, or with the escapes of Python or JSON."""
    for plain in (password, unquote(password)):
        yield plain
        yield quote(plain, safe="")
        yield repr(plain)[1:-1]
        yield repr(f"{plain}'\"")[1:-4]
        yield json.dumps(plain)[1:-1]


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
        f"[database] connection = {shown(url)}: unknown storage; use mongodb://HOST:PORT or sqlite:///FILE"
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
        raise ValueError(f"{key} = {shown(url)}: write # in it as %23")
    try:
        parts = urlsplit(url)
    except ValueError:
        # Its text would quote what may be a password.
        raise ValueError(f"{key} = {shown(url)}: this is no URL; {ENCODED}") from None
    if parts.scheme not in FILES and "@" in f"{parts.path}{parts.query}":
        raise ValueError(f"{key} = {shown(url)}: there is an @ behind the host; {ENCODED}")
    try:
        if "," not in parts.netloc:
            _ = parts.port
    except ValueError:
        raise ValueError(f"{key} = {shown(url)}: Port has to be a number up to 65535; {ENCODED}") from None
    return parts


def listening(key: str, address: str, token: str | None) -> tuple[str, int]:
    """Host and port of HOST:PORT; an IPv6 address is in brackets. Raises ValueError naming the key.

    :param token: what who comes from elsewhere has to know.
    """
    try:
        parts = urlsplit(f"//{address}")
        port = parts.port
    except ValueError as exception:
        raise ValueError(f"{key} = {address}: {exception}; write HOST:PORT, as in 127.0.0.1:9105") from exception
    if not parts.hostname or not port or parts.path or parts.username is not None:
        raise ValueError(f"{key} = {address}: write HOST:PORT, as in 127.0.0.1:9105")
    if not token and not _is_loopback(parts.hostname):
        raise ValueError(f"{key} = {address} is beyond loopback: set http_token, too, or use 127.0.0.1")
    return parts.hostname, port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def api_url(url: str | None) -> str | None:
    """The URL of StackStorm's API. Raises ValueError, without the URL, which may hold a password."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()
        # Raises ValueError for a port that is none.
        _ = parts.port
    except ValueError:
        is_right = False
    if not is_right:
        raise ValueError("[sensorcontainer] api_url: it is no http:// or https:// URL; as in http://127.0.0.1:9101/v1")
    return url
