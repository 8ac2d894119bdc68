"""Static partitions of the sensors, with the names, options and hash that StackStorm uses.

If sensors are shared by leases, every node may run every sensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from st2sensor.errors import ConfigError, ContentError
from st2sensor.models import SYSTEM_SCOPE, class_of
from st2sensor.packs.yaml_files import read
from st2sensor.storage.base import Storage

OPTION = "[sensorcontainer] partition_provider"

BITS = 32
"""Bits of a sensor's hash."""

BOUNDS = {"MIN": 0, "MAX": 2**BITS}
"""Words for the smallest and the largest hash."""

Owns = Callable[[str], bool]
"""Returns whether a sensor, given by its reference, belongs to this node."""

Provider = Callable[[Storage], Owns]
"""Reads which sensors belong to this node. Blocks. Raises StorageError, and ConfigError if there is no list."""


def provider_of(options: Mapping[str, str], node: str) -> Provider:
    """Return the configured provider. Raises ConfigError.

    :param options: `name`, and the options of that provider, for example `name:hash, hash_ranges:0..100|200..MAX`.
    :param node: `[sensorcontainer] sensor_node_name`.
    """
    name = options.get("name", "default")
    if name not in PROVIDERS:
        raise ConfigError(f"{OPTION} = name:{name}: this provider does not exist; use one of {', '.join(PROVIDERS)}")
    return PROVIDERS[name](options, node)


def hash_of(ref: str) -> int:
    """Return a sensor's hash as StackStorm's partitioner computes it, from the reversed decimal digits of its MD5."""
    digits = str(int(hashlib.md5(ref.encode(), usedforsecurity=False).hexdigest(), 16))
    value = 0
    for digit in reversed(digits):
        rotated = (value << 5 | value >> (BITS - 5)) & (2**BITS - 1)
        value = rotated ^ int(digit)
    return value


def _everything(options: Mapping[str, str], node: str) -> Provider:  # noqa: ARG001 (all providers have the same parameters)
    return lambda storage: lambda ref: True  # noqa: ARG005


def _by_hash(options: Mapping[str, str], node: str) -> Provider:  # noqa: ARG001
    ranges = [_range(text) for text in _needed(options, "hash_ranges", "0..2147483648|2147483648..MAX").split("|")]
    return lambda storage: lambda ref: any(hash_of(ref) in span for span in ranges)  # noqa: ARG005


def _range(text: str) -> range:
    """Return a half-open range of hashes; its end is excluded. Raises ConfigError."""
    start, _, end = (part.strip().upper() for part in text.partition(".."))
    try:
        found = range(_bound(start), _bound(end))
    except ValueError as exception:
        raise ConfigError(
            f"{OPTION}: hash_ranges: {text!r} is not a range; write one such as MIN..1024 or 1024..MAX"
        ) from exception
    if found.start > found.stop:
        raise ConfigError(f"{OPTION}: hash_ranges: {text!r} ends before it starts; write the smaller hash first")
    return found


def _bound(text: str) -> int:
    return BOUNDS[text] if text in BOUNDS else int(text)


def _by_file(options: Mapping[str, str], node: str) -> Provider:
    path = Path(_needed(options, "partition_file", "/etc/st2/sensor_partition.yaml"))

    def read_owned(storage: Storage) -> Owns:  # noqa: ARG001
        try:
            nodes = read(path).data
        except ContentError as exception:
            raise ConfigError(f"{OPTION}: {exception}") from exception
        if not isinstance(nodes, dict) or not isinstance(nodes.get(node), list):
            raise ConfigError(f"{OPTION}: {path} does not list the sensors of {node}; add {node}: [PACK.CLASS, ...]")
        return _listed(set(map(str, nodes[node])))

    return read_owned


def _by_key(options: Mapping[str, str], node: str) -> Provider:  # noqa: ARG001
    name = f"{node}.sensor_partition"

    def read_owned(storage: Storage) -> Owns:
        entry = storage.get_value(SYSTEM_SCOPE, name, datetime.now(UTC))
        if entry is None:
            raise ConfigError(
                f"{OPTION}: the datastore does not list the sensors of {node}; "
                f"run: st2sensor key set {name} PACK.CLASS,PACK.CLASS"
            )
        return _listed({ref.strip() for ref in entry.value.split(",")})

    return read_owned


def _listed(refs: set[str]) -> Owns:
    """Return whether a list names a sensor. The name of a class stands for all of its instances."""
    return lambda ref: ref in refs or class_of(ref) in refs


def _needed(options: Mapping[str, str], name: str, example: str) -> str:
    if not options.get(name):
        raise ConfigError(f"{OPTION} = name:{options['name']}: {name} is missing; add it, for example {name}:{example}")
    return options[name]


PROVIDERS: dict[str, Callable[[Mapping[str, str], str], Provider]] = {
    "default": _everything,
    "shared": _everything,
    "kvstore": _by_key,
    "file": _by_file,
    "hash": _by_hash,
}
