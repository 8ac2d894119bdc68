"""Authorizes requests: by a signature for URLs with a secret, otherwise by an API key if one is required."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from time import time
from typing import Any

from aiohttp import web

from st2sensor.core_pack.webhooks.api_keys import ApiKeys
from st2sensor.core_pack.webhooks.hooks import normalised
from st2sensor.core_pack.webhooks.refusal import Refusal
from st2sensor.core_pack.webhooks.signatures import SCHEMES, Request

API_KEY, TOKEN = "St2-Api-Key", "X-Auth-Token"
"""Headers with a key, as in StackStorm. In lower case they are also query parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """The secret of one URL.

    :param scheme: the name of one of SCHEMES.
    :param header: the header with the signature; None for the scheme's own.
    """

    scheme: str
    secret: bytes
    header: str | None


class Access:
    """Checks the authorization of requests.

    :param secrets: `signatures` of the pack's configuration, by URL.
    :param requirement: when API keys are required: `always`, `never`, or `auto`, which requires them if a key was ever
        created, or if other hosts can connect.
    :param host: the address that the server listens at.
    """

    def __init__(
        self,
        keys: ApiKeys,
        secrets: Mapping[str, Mapping[str, Any]],
        requirement: str,
        host: str,
        clock: Callable[[], float] = time,
    ) -> None:
        """Raises ValueError for unusable secrets."""
        self._keys = keys
        self._secrets = {normalised(url): _secret(url, item) for url, item in secrets.items()}
        if len(self._secrets) < len(secrets):
            raise ValueError("signatures: a url is listed twice, with slashes and without; remove one of them")
        self._requirement = requirement
        self._is_local = _is_local(host)
        self._clock = clock

    @property
    def signed_urls(self) -> frozenset[str]:
        """URLs that require a signature, normalised."""
        return frozenset(self._secrets)

    async def check_key(self, request: web.Request, url: str) -> None:
        """Check a request's API key before its body is read. Raises Refusal."""
        if url in self._secrets or not await self.asks_for_keys():
            return
        shown = (
            request.headers.get(API_KEY)
            or request.headers.get(TOKEN)
            or request.query.get(API_KEY.lower())
            or request.query.get(TOKEN.lower())
        )
        if shown is None:
            raise _unauthorized(f"send an API key in the header {API_KEY}; st2sensor apikey create makes one")
        if not await self._keys.is_valid(shown):
            raise _unauthorized("the API key is unknown, or was revoked")

    def check_signature(self, request: web.Request, url: str, body: bytes) -> None:
        """Check a request's signature. Raises Refusal."""
        secret = self._secrets.get(url)
        if secret is not None:
            signed = Request(headers=request.headers, body=body, now=self._clock())
            SCHEMES[secret.scheme](signed, secret.secret, secret.header)

    async def asks_for_keys(self) -> bool:
        """Return whether URLs without a secret require a key. Raises Refusal while the keys are unknown."""
        if self._requirement != "auto":
            return self._requirement == "always"
        return not self._is_local or await self._keys.is_any()


def _secret(url: str, item: Mapping[str, Any]) -> Secret:
    if not item["secret"]:
        # Anybody could sign with an empty secret.
        raise ValueError(f"signatures: the secret of {url} is empty; set it, or remove the url")
    return Secret(scheme=item["scheme"], secret=item["secret"].encode(), header=item.get("header"))


def _unauthorized(reason: str) -> Refusal:
    return Refusal(401, reason, {"WWW-Authenticate": f"ApiKey header={API_KEY}"})


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
