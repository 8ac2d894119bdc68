"""The checks of a container that runs one sensor alone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.daemon.single import check_reference, is_beside_daemon
from st2sensor.cli.daemon.state_dir import held
from st2sensor.errors import SensorNotFound
from st2sensor.storage import open_storage
from tests.support.supervised_node import sensor_type


def test_only_a_registered_sensor_is_accepted_while_the_database_can_be_read(config_file: Path) -> None:
    settings = config.load([str(config_file)])
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        storage.put(sensor_type("p.S"))
    check_reference(settings, "p.S")
    with pytest.raises(SensorNotFound, match=r"sensor p\.T is not registered: check the name"):
        check_reference(settings, "p.T")
    with pytest.raises(SensorNotFound, match="write PACK"):
        check_reference(settings, "../S")
    away = replace(settings, database=replace(settings.database, url="sqlite:////nowhere/st2.db"))
    check_reference(away, "p.T")


def test_a_daemon_is_noticed_while_it_holds_the_state_directory(config_file: Path) -> None:
    settings = config.load([str(config_file)])
    assert not is_beside_daemon(settings)
    with held(settings.container.state_dir):
        assert is_beside_daemon(settings)
    assert not is_beside_daemon(settings)
