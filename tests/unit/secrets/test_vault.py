"""Vault: logins, expiry, outages, and messages that hold neither tokens nor values. The server was written for this."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.errors import SecretError, SecretUnavailable
from st2sensor.secrets.vault import Vault as Client
from st2sensor.settings import Secrets
from tests.plugins.patience import SOON
from tests.support.servers.certificate import make_certificate
from tests.support.servers.vault import Vault

CALL = ("db/prod", "password")


@pytest.fixture
def vault() -> Iterator[Vault]:
    made = Vault()
    made.secrets["db/prod"] = {"password": "open sesame", "port": 5432, "nested": {"a": 1}}
    yield made
    made.close()


@pytest.fixture
def settings(vault: Vault, tmp_path: Path) -> Secrets:
    token = tmp_path / "token"
    token.write_text("root-token\n")
    return Secrets(vault_url=vault.url, vault_token_file=token, timeout=SOON)


def with_roles(settings: Secrets, folder: Path, secret_id: str = "s3cret-id") -> Secrets:
    (folder / "role").write_text("role\n")
    (folder / "id").write_text(secret_id)
    return replace(
        settings, vault_token_file=None, vault_role_id_file=folder / "role", vault_secret_id_file=folder / "id"
    )


def test_a_field_is_read_and_a_number_becomes_its_text(settings: Secrets) -> None:
    assert Client(settings).read(CALL) == "open sesame"
    assert Client(settings).read(("db/prod", "port")) == "5432"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("db/prod", "user"), "has no field 'user'; its fields: nested, password, port"),
        (("db/prod", "nested"), "is not a text"),
        (("db/none", "a"), "there is no secret/db/none"),
        (("db/gone", "a"), "the newest version of secret/db/gone is deleted"),
        (("../sys/raw", "a"), "is not a path in Vault"),
    ],
)
def test_a_wrong_path_or_field_is_named_without_values(
    vault: Vault, settings: Secrets, arguments: tuple[str, str], message: str
) -> None:
    vault.secrets["db/gone"] = None
    with pytest.raises(SecretError, match=message) as caught:
        Client(settings).read(arguments)
    assert not isinstance(caught.value, SecretUnavailable)
    assert "open sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "message"),
    [(503, "is sealed"), (307, "redirects .* not followed"), (500, "has failed"), (429, "too many")],
)
def test_a_sealed_or_failing_vault_may_answer_later(vault: Vault, settings: Secrets, status: int, message: str) -> None:
    vault.status, vault.location = status, f"{vault.url}/v1/secret/data/db/prod"
    with pytest.raises(SecretUnavailable, match=message) as caught:
        Client(settings).read(CALL)
    assert len(vault.requests) == 1
    assert "hush-from-server" not in str(caught.value)
    assert "root-token" not in str(caught.value)


def test_a_token_is_read_again_for_each_request(vault: Vault, settings: Secrets) -> None:
    client = Client(settings)
    assert settings.vault_token_file is not None
    vault.tokens = {"new-token"}
    with pytest.raises(SecretUnavailable, match="the token is not valid any more"):
        client.read(CALL)
    settings.vault_token_file.write_text("new-token")
    assert client.read(CALL) == "open sesame"


def test_a_login_lasts_until_most_of_its_time_is_over(vault: Vault, settings: Secrets, tmp_path: Path) -> None:
    now = [0.0]
    vault.lease = 100
    client = Client(with_roles(settings, tmp_path), lambda: now[0])
    client.read(CALL)
    now[0] = 79.0
    client.read(CALL)
    assert vault.logins == 1
    now[0] = 81.0
    client.read(CALL)
    assert vault.logins == 2


def test_a_token_that_was_revoked_early_is_replaced_by_a_new_login(
    vault: Vault, settings: Secrets, tmp_path: Path
) -> None:
    client = Client(with_roles(settings, tmp_path))
    client.read(CALL)
    vault.tokens.clear()
    assert client.read(CALL) == "open sesame"
    assert vault.logins == 2


def test_an_expired_secret_id_is_named_but_not_shown(settings: Secrets, tmp_path: Path) -> None:
    client = Client(with_roles(settings, tmp_path, "expired-id"))
    with pytest.raises(SecretUnavailable, match="refuses the login with AppRole") as caught:
        client.read(CALL)
    assert "expired-id" not in str(caught.value)


def test_an_answer_that_never_ends_is_given_up_in_time(vault: Vault, settings: Secrets) -> None:
    vault.drip.set()
    began = time.monotonic()
    with pytest.raises(SecretUnavailable, match=r"has not answered within 0\.3 s"):
        Client(replace(settings, timeout=0.3)).read(CALL)
    assert time.monotonic() - began < SOON


def test_an_unreachable_vault_is_named(vault: Vault, settings: Secrets) -> None:
    vault.close()
    with pytest.raises(SecretUnavailable, match=f"Vault at {vault.url} cannot be used: Connection refused"):
        Client(settings).read(CALL)


def test_tls_needs_the_private_ca_and_the_right_host(settings: Secrets, tmp_path: Path) -> None:
    for name, message in (("IP:127.0.0.1", None), ("DNS:other.example", "IP address mismatch")):
        key = make_certificate(tmp_path, name)
        server = Vault(key)
        try:
            server.secrets["db/prod"] = {"password": "open sesame"}
            secured = replace(settings, vault_url=server.url)
            with pytest.raises(SecretUnavailable, match="certificate is not trusted"):
                Client(secured).read(CALL)
            trusting = Client(replace(secured, vault_ca_file=key[1]))
            if message is None:
                assert trusting.read(CALL) == "open sesame"
            else:
                with pytest.raises(SecretUnavailable, match=message):
                    trusting.read(CALL)
        finally:
            server.close()
