"""Which variables sensors do not inherit."""

from __future__ import annotations

from pathlib import Path

from st2sensor import config
from st2sensor.container.launch import Inherited
from st2sensor.environment import handed_on

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
