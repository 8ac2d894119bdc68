from __future__ import annotations

import socket
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.settings import Container


def container(tmp_path: Path, text: str) -> Container:
    path = tmp_path / "st2.conf"
    path.write_text(f"[sensorcontainer]\n{text}\n")
    return config.load([str(path)]).container


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "sensornode1"),
        ("sensor_node_name = other", "other"),
        ("partition_provider = name:hash, hash_ranges:0..MAX", "sensornode1"),
        ("partition_provider = name:shared", socket.gethostname()),
        ("partition_provider = name:Shared", socket.gethostname()),
        ("partition_provider = name:shared\nsensor_node_name = other", "other"),
    ],
)
def test_only_nodes_that_share_sensors_are_named_after_their_hosts(tmp_path: Path, text: str, name: str) -> None:
    assert container(tmp_path, text).node_name == name


def test_leases_are_set_only_where_sensors_are_shared(tmp_path: Path) -> None:
    text = "lease = 5\nlabels = gpu, dmz\ncapacity = 2"
    assert container(tmp_path, text).sharing is None
    sharing = container(tmp_path, f"partition_provider = name:shared\n{text}").sharing
    assert sharing is not None
    assert (sharing.lease, sharing.labels, sharing.capacity, sharing.moves_at_once) == (5.0, ("gpu", "dmz"), 2.0, 10)


def test_a_timeout_of_0_is_none(tmp_path: Path) -> None:
    settings = container(tmp_path, "setup_timeout = 0\npoll_timeout = 1.5")
    assert (settings.setup_timeout, settings.poll_timeout, settings.trigger_timeout) == (None, 1.5, None)


def test_the_partition_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    settings = container(tmp_path, "partition_provider = name:file, partition_file:nodes.yaml")
    assert settings.partition_provider["partition_file"] == str(tmp_path / "nodes.yaml")
