"""Environment variables that sensors do not inherit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.container.launch import api_access
from st2sensor.container.launch.spec import Inherited
from st2sensor.errors import ConfigError
from st2sensor.settings import Container
from st2sensor.system.environment import handed_on

VARIABLES = {
    "PATH": "/bin",
    "ST2_DATABASE__PASSWORD": "secret",
    "ST2_CONF": "x",
    "ST2SENSOR_TOKEN": "x",
    "NOTIFY_SOCKET": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "aws_profile": "x",
    "VAULT_TOKEN": "x",
}


def test_what_configures_the_container_stays_with_it() -> None:
    assert set(handed_on(VARIABLES)) == {"PATH", "AWS_SECRET_ACCESS_KEY", "aws_profile", "VAULT_TOKEN"}


def test_an_operator_names_further_ones_by_patterns(tmp_path: Path) -> None:
    file = tmp_path / "st2.conf"
    file.write_text(f"[sensorcontainer]\nprivate_environment = AWS_*, VAULT_TOKEN\nstate_dir = {tmp_path}\n")
    settings = config.load([str(file)])
    assert settings.container.private_environment == ("AWS_*", "VAULT_TOKEN")
    sensors = Inherited(umask=0, open_files=(1, 1), private=settings.container.private_environment)
    assert set(sensors.environment(VARIABLES)) == {"PATH", "aws_profile"}


def configured(folder: Path, *lines: str) -> Container:
    file = folder / "st2.conf"
    file.write_text("\n".join(["[sensorcontainer]", f"state_dir = {folder}", *lines]))
    return config.load([str(file)]).container


def test_sensors_are_told_of_stackstorms_api_by_st2clients_names(tmp_path: Path) -> None:
    assert api_access.variables(configured(tmp_path)) == {}
    url = "api_url = https://st2.example.com/api/v1"
    known = {"ST2_API_URL": "https://st2.example.com/api/v1"}
    assert api_access.variables(configured(tmp_path, url)) == known
    (tmp_path / "token").write_text("5ecre7\n")
    settings = configured(tmp_path, url, "api_token_file = token")
    assert api_access.variables(settings) == known | {"ST2_AUTH_TOKEN": "5ecre7"}
    (tmp_path / "token").write_text("0ther")
    assert api_access.token_of(settings) == "0ther"


@pytest.mark.parametrize(
    "held", [b"", b"\n", b"5ecre7 two", b"5ecre7\n5ecre7", b"5ecre7\0", b"5ecre7\xff", b"5ecre7" * 1000], ids=range(7)
)
def test_a_file_that_holds_no_token_is_named_and_not_quoted(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "token").write_bytes(held)
    with pytest.raises(ConfigError, match=r"api_token_file = .*/token: it does not hold a token; write") as caught:
        api_access.variables(configured(tmp_path, "api_token_file = token"))
    assert "5ecre7" not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    settings = configured(tmp_path, "api_token_file = token")
    with pytest.raises(ConfigError, match="it cannot be read: No such file or directory; correct the path"):
        api_access.variables(settings)
    os.mkfifo(tmp_path / "token")
    with pytest.raises(ConfigError, match="it cannot be read: it is not a regular file"):
        api_access.variables(settings)


@pytest.mark.parametrize("url", ["st2.example.com", "ftp://x", "http://", "http://u:5ecre7@x:port/", "https://[5ecre7"])
def test_a_url_of_the_api_that_is_none_is_refused_and_not_quoted(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"api_url: this is not an http:// or https:// URL; write one such") as caught:
        configured(tmp_path, f"api_url = {url}")
    assert "5ecre7" not in str(caught.value)
