from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.errors import ConfigError
from st2sensor.settings import Settings


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "st2.conf"
    path.write_text(text)
    return config.load([str(path)])


@pytest.mark.parametrize(
    ("text", "sensors"),
    [
        ("", ()),
        ("[webhooks]\nenable = true\n", ("webhook_sensor",)),
        ("[timers]\nenable = true\n[webhooks]\nenable = true\n", ("webhook_sensor", "timer_sensor")),
    ],
)
def test_sections_enable_the_bundled_sensors(tmp_path: Path, text: str, sensors: tuple[str, ...]) -> None:
    assert load(tmp_path, text).content.core_sensors == sensors


def test_a_certificate_s_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    webhooks = load(tmp_path, "[webhooks]\ntls_certificate_file = c.pem\ntls_key_file = k.pem\n").webhooks
    assert (webhooks.tls_certificate_file, webhooks.tls_key_file) == (str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[webhooks]\ntls_key_file = k.pem\n", "tls_key_file: tls_certificate_file is missing; set it"),
        (
            "[timers]\nlocal_timezone = Mars/Phobos\n",
            "local_timezone: there is no time zone Mars/Phobos; write one such as",
        ),
        ("[timers]\nlocal_timezone = ../etc/passwd\n", "local_timezone: there is no time zone ../etc/passwd"),
    ],
)
def test_a_wrong_setting_names_key_and_remedy(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert problem in str(caught.value)
