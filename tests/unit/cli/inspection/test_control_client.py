"""The client of the control socket."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.cli import st2sensor as program
from st2sensor.cli.inspection.control_client import ControlClient
from st2sensor.errors import ContainerGone
from st2sensor.reports import CONTROL_SOCKET
from tests.support.control_peer import Peer


def test_a_container_that_ends_is_told_as_gone(
    config_file: Path, peer: Callable[..., Peer], capsys: pytest.CaptureFixture[str]
) -> None:
    peer({})
    container = ControlClient(config_file.parent / "state" / CONTROL_SOCKET)
    with closing(container):
        container.follow([])
        assert list(container.events()) == []
        with pytest.raises(ContainerGone, match="has ended"):
            container.call("node")
    assert program.main(["--config-file", str(config_file), "top", "--once"]) == 69
    assert capsys.readouterr().err == "the container has ended\n"
