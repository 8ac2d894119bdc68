"""Helpers for addresses and ports, under StackStorm's module name."""

import ipaddress
from typing import Any, Optional, Tuple

__all__ = ["is_ipv4", "is_ipv6", "split_host_port"]


def is_ipv4(ip_str: Any) -> bool:
    return _version(ip_str) == 4


def is_ipv6(ip_str: Any) -> bool:
    return _version(ip_str) == 6


def split_host_port(host_str: str) -> Tuple[str, Optional[int]]:
    """Return host and port, or None if there is no port. Brackets around a host are removed.

    An IPv6 address with a port must be in brackets. Raises ValueError for a port that is not a number.
    """
    if _version(host_str) or (host_str.startswith("[") and host_str.endswith("]")):
        return host_str.strip("[]"), None
    host, colon, port = host_str.rpartition(":")
    if not colon:
        return host_str, None
    try:
        return host.strip("[]"), int(port)
    except ValueError:
        raise ValueError(f"the port {port!r} is not a number; write the address like host:5672 or [::1]:5672") from None


def _version(address: Any) -> Optional[int]:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return None
