"""Secrets in Vault: version 2 of its KV engine, with a token from a file or a login with AppRole.

The requests are those of https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 and .../auth/approle.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from st2sensor.errors import SecretError, SecretUnavailable
from st2sensor.secrets.https import HttpFailed, exchange, json_of
from st2sensor.secrets.source import MAX_SIZE, text_of
from st2sensor.settings import Secrets
from st2sensor.system import regular_file

DENIED = 403

TOKEN = re.compile(r"[\x21-\x7e]+")

RENEW_AT = 0.8
"""Share of a token's life after which the next read logs in again."""

PROBLEMS = {
    400: "refuses the request; is [secrets] vault_namespace right",
    429: "has too many requests; wait",
    472: "is a standby of a replicated cluster; set [secrets] vault_url to the active node",
    473: "is a standby; set [secrets] vault_url to the active node",
    501: "is not initialised; initialise it",
    503: "is sealed or in maintenance; unseal it",
}
"""Statuses of Vault, in words."""


class Vault:
    """For any thread.

    :param clock: monotonic, in seconds.
    """

    def __init__(self, settings: Secrets, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        self._login: tuple[str, float] | None = None
        """The token of the last login, and when it is due to be replaced."""

    def check(self, arguments: tuple[str, ...]) -> None:
        path = arguments[0]
        if self._settings.vault_url is None:
            raise SecretError("[secrets] vault_url is not set; set it, and a way to log in")
        if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
            raise SecretError(f"{path!r} is not a path in Vault; write it as in team/database")

    def read(self, arguments: tuple[str, ...]) -> str:
        self.check(arguments)
        path, field = arguments
        where = f"{self._settings.vault_mount}/{path}"
        url = f"/v1/{quote(self._settings.vault_mount)}/data/{quote(path)}"
        token, is_new = self._token()
        status, body = self._request("GET", url, token, None)
        if status == DENIED and not is_new:
            # The token may have expired or been revoked, or its file may have been replaced in this moment.
            token = self._token(stale=token)[0]
            status, body = self._request("GET", url, token, None)
        if status == DENIED:
            raise SecretUnavailable(
                f"{self._name} denies access to {where}: "
                "the token is not valid any more, or its policies do not allow it"
            )
        data = json_of(body).get("data")
        if status == 404:
            deleted = isinstance(data, dict) and isinstance(data.get("metadata"), dict)
            what = f"the newest version of {where} is deleted" if deleted else f"there is no {where}"
            raise SecretError(f"{self._name}: {what}; write it, or correct the path or [secrets] vault_mount")
        self._expect_ok(status)
        values = data.get("data") if isinstance(data, dict) else None
        if not isinstance(values, dict):
            raise SecretError(
                f"{self._name}: {where} is not in a KV engine of version 2; correct [secrets] vault_mount"
            )
        return _field(values, field, f"{self._name}: {where}")

    @property
    def _name(self) -> str:
        return f"Vault at {self._settings.vault_url}"

    def _token(self, stale: str | None = None) -> tuple[str, bool]:
        """Return a token, and whether a login has just returned it.

        :param stale: a token that Vault has refused.
        """
        if self._settings.vault_token_file is not None:
            return _word(self._settings.vault_token_file, "vault_token_file"), False
        with self._lock:
            known = self._login
            if known is not None and known[0] != stale and self._clock() < known[1]:
                return known[0], False
            self._login = self._logged_in()
            return self._login[0], True

    def _logged_in(self) -> tuple[str, float]:
        settings = self._settings
        assert settings.vault_role_id_file is not None
        assert settings.vault_secret_id_file is not None
        ids = {
            "role_id": _word(settings.vault_role_id_file, "vault_role_id_file"),
            "secret_id": _word(settings.vault_secret_id_file, "vault_secret_id_file"),
        }
        url = f"/v1/auth/{quote(settings.vault_approle_mount)}/login"
        status, body = self._request("POST", url, None, json.dumps(ids).encode())
        if status in (400, DENIED):
            raise SecretUnavailable(
                f"{self._name} refuses the login with AppRole; the role id or the secret id is wrong or has expired: "
                "write a valid one to its file"
            )
        self._expect_ok(status)
        auth = json_of(body).get("auth")
        token = auth.get("client_token") if isinstance(auth, dict) else None
        if not isinstance(auth, dict) or not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise SecretUnavailable(f"{self._name} has answered a login without a token; is this Vault?")
        life = auth.get("lease_duration")
        # A token without an end has the duration 0.
        seconds = float(life) * RENEW_AT if isinstance(life, int) and life > 0 else float("inf")
        return token, self._clock() + seconds

    def _request(self, method: str, path: str, token: str | None, body: bytes | None) -> tuple[int, bytes]:
        settings = self._settings
        headers = {"X-Vault-Request": "true"}
        if settings.vault_namespace:
            headers["X-Vault-Namespace"] = quote(settings.vault_namespace)
        if token is not None:
            headers["X-Vault-Token"] = token
        try:
            return exchange(
                method,
                f"{settings.vault_url}{path}",
                headers,
                body,
                ca_file=settings.vault_ca_file,
                timeout=settings.timeout,
            )
        except HttpFailed as failure:
            raise SecretUnavailable(f"{self._name} cannot be used: {failure}") from None

    def _expect_ok(self, status: int) -> None:
        if 300 <= status < 400:
            raise SecretUnavailable(
                f"{self._name} redirects (status {status}), which is not followed; "
                "set [secrets] vault_url to the target"
            )
        if status != 200:
            raise SecretUnavailable(f"{self._name} {PROBLEMS.get(status, 'has failed')} (status {status})")


def _field(values: Mapping[str, Any], field: str, where: str) -> str:
    if field not in values:
        known = ", ".join(sorted(map(str, values))[:20]) or "none"
        raise SecretError(f"{where} has no field {field!r}; its fields: {known}")
    value = values[field]
    if isinstance(value, dict | list) or value is None:
        raise SecretError(f"{where}: the field {field!r} is not a text; store each value in a field of its own")
    text = value if isinstance(value, str) else json.dumps(value)
    return text_of(text.encode(errors="replace"), f"{where}, field {field!r}")


def _word(path: Path, option: str) -> str:
    """Return the only word in a file. Raises SecretUnavailable."""
    try:
        data = regular_file.read(path, MAX_SIZE)
    except OSError as error:
        problem = regular_file.reason(error)
        raise SecretUnavailable(f"[secrets] {option}: {path} cannot be read: {problem}") from None
    word = data.decode("ascii", errors="replace").strip()
    if not TOKEN.fullmatch(word):
        raise SecretUnavailable(f"[secrets] {option}: {path} must hold one word, and nothing else")
    return word
