"""Reports on sensors, from whichever container answers."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.inspection.sensors import every, one, troubles_of
from st2sensor.errors import ContainerAway, ContainerForbidden
from st2sensor.reports import CONTROL_SOCKET
from tests.support.control_peer import Peer, node


def test_a_socket_of_others_is_told_as_that(config_file: Path, peer: Callable[..., Peer]) -> None:
    settings = config.load([str(config_file)])
    peer({"sensors": list})
    path = settings.container.state_dir / CONTROL_SOCKET
    path.chmod(0)
    config_file.parent.chmod(0o755)
    assert stat.S_IMODE(path.stat().st_mode) == 0
    assert not issubclass(ContainerForbidden, ContainerAway)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        for ask in (lambda: every(settings), lambda: one(settings, "p.S")):
            with pytest.raises(ContainerForbidden, match="become a member of the group") as refused:
                ask()
            assert refused.value.exit_code == 77
    finally:
        os.seteuid(before)


def test_a_history_that_cannot_be_written_is_told_once(config_file: Path, peer: Callable[..., Peer]) -> None:
    peer({"node": lambda: node(history="cannot write the history H: the disk is full")})
    assert troubles_of(config.load([str(config_file)])) == ["cannot write the history H: the disk is full"]
