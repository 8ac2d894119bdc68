"""The client of the control socket."""

from __future__ import annotations

import grp
import pwd
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from st2sensor.cli import st2sensor as program
from st2sensor.cli.inspection.control_client import ControlClient
from st2sensor.errors import ContainerForbidden, ContainerGone
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


def test_a_user_who_may_not_connect_is_told_the_group_and_the_user(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer({})
    path = config_file.parent / "state" / CONTROL_SOCKET
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name="st2"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="st2daemon"))
    with pytest.raises(ContainerForbidden, match="become a member of the group st2, or run this as its user st2daemon"):
        ControlClient(path)
    monkeypatch.setattr(grp, "getgrgid", refuse)
    with pytest.raises(ContainerForbidden, match="the group that owns it, or run this as the container's user"):
        ControlClient(path)


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")
