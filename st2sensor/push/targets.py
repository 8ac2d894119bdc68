"""The targets: the file that `[push] targets` names."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from st2sensor.errors import ConfigError, ContentError
from st2sensor.packs import yaml_files
from st2sensor.push.signature import secret_of
from st2sensor.system import regular_file

KEY = "[push] targets"

MOST_TARGETS = 32
"""Maximum number of targets: each may hold a page of events in memory."""

NAME = re.compile(r"\w[\w-]{0,63}", re.ASCII)

KEYS = ("url", "secret_file", "sensor", "triggers", "from", "ca_file")

LARGEST_SECRETS = 10_000
"""Maximum number of bytes of a file of secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A receiver of events.

    :param name: used in messages and metrics, and in the name of its cursor's file.
    :param secrets: sign each request; never shown.
    :param sensor: reference of the only sensor whose events it gets; empty for all.
    :param triggers: references of the triggers or trigger types that it gets; empty for all.
    :param from_oldest: begin with the oldest event kept, instead of the next one.
    :param tls: the context for https; None for http.
    """

    name: str
    url: str
    secrets: tuple[bytes, ...] = field(repr=False)
    sensor: str = ""
    triggers: frozenset[str] = frozenset()
    from_oldest: bool = False
    tls: ssl.SSLContext | None = None

    @property
    def shown(self) -> str:
        """Scheme and host of the URL: a path or a query may hold a token."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def read(path: Path) -> tuple[Target, ...]:
    """Return the targets of a file. Raises ConfigError naming the file, the target and the key."""
    try:
        data = yaml_files.read(path).data
    except ContentError as error:
        raise ConfigError(f"{KEY}: {error}") from error
    repeated = yaml_files.repeated(path)
    if repeated:
        raise ConfigError(f"{KEY}: {repeated[0]}")
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{KEY}: {path}: write a mapping from each target's name to its url and secret_file")
    if len(data) > MOST_TARGETS:
        raise ConfigError(f"{KEY}: {path} has {len(data)} targets, and at most {MOST_TARGETS} are possible")
    return tuple(_target(path, name, value) for name, value in data.items())


def _target(path: Path, name: str, value: Any) -> Target:
    where = f"{KEY}: {path}: {name}"
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name consists of letters, digits, _ and -, at most 64")
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: write at least url and secret_file below it")
    unknown = sorted(value.keys() - set(KEYS))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]}; the keys are {', '.join(KEYS)}")
    start = value.get("from", "end")
    if start not in ("end", "oldest"):
        raise ConfigError(f"{where}: from: write end or oldest")
    url = _url(where, value)
    return Target(
        name=name,
        url=url,
        secrets=_secrets(where, path, value),
        sensor=_text(where, value, "sensor"),
        triggers=_triggers(where, value),
        from_oldest=start == "oldest",
        tls=_tls(where, path, value) if url.startswith("https:") else None,
    )


def _text(where: str, value: Mapping[str, Any], key: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str) or not found.isprintable():
        raise ConfigError(f"{where}: {key}: write text")
    return found


def _url(where: str, value: Mapping[str, Any]) -> str:
    """Return the URL. The error does not quote it: it may hold a token."""
    url = _text(where, value, "url")
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or " " in url or not url.isascii() or parts.fragment:
        raise ConfigError(f"{where}: url: write http://HOST/PATH or https://HOST/PATH, in ASCII, without a fragment")
    if parts.username is not None:
        raise ConfigError(f"{where}: url: leave out the user and password; each request is signed with secret_file")
    return url


def _secrets(where: str, path: Path, value: Mapping[str, Any]) -> tuple[bytes, ...]:
    name = _text(where, value, "secret_file")
    if not name:
        raise ConfigError(f"{where}: secret_file: name a file whose only line is a secret, whsec_BASE64")
    file = path.parent / name
    try:
        lines = regular_file.read(file, LARGEST_SECRETS).decode("ascii").split()
        found = tuple(secret_of(line) for line in lines)
    except OSError as error:
        raise ConfigError(f"{where}: secret_file: {error}") from error
    except ValueError:
        # The exception is not chained: it may quote the file.
        raise ConfigError(f"{where}: secret_file: {file}: each line must be whsec_ and a secret in base64") from None
    if not found:
        raise ConfigError(f"{where}: secret_file: {file} is empty; write a line with whsec_ and a secret in base64")
    return found


def _triggers(where: str, value: Mapping[str, Any]) -> frozenset[str]:
    found = value.get("triggers", [])
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{where}: triggers: write a list of references, such as [linux.file_watch.line]")
    return frozenset(names)


def _tls(where: str, path: Path, value: Mapping[str, Any]) -> ssl.SSLContext:
    name = _text(where, value, "ca_file")
    try:
        return ssl.create_default_context(cafile=str(path.parent / name) if name else None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: ca_file: {error}; name a file of trusted certificates") from error
