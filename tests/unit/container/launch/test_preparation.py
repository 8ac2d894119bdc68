"""Specs of wrappers, made from metadata and overrides."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.container.launch import preparation
from st2sensor.container.launch.cgroup import Cgroup
from st2sensor.container.launch.preparation import Preparation, limits, socket_of, variables
from st2sensor.container.launch.spec import LaunchSpec
from st2sensor.errors import ConfigError
from st2sensor.models import Overrides
from st2sensor.settings import Settings
from tests.support.supervised_node import sensor_type

NOBODY = pwd.getpwnam("nobody")


def become(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_root_runs_a_sensor_as_another_user_with_that_user_s_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, 0)
    overrides = Overrides(run_as="nobody", open_files=64, nice=5)
    accepted = limits(overrides)
    assert accepted["user"][:2] == [NOBODY.pw_uid, NOBODY.pw_gid]
    assert (accepted["open_files"], accepted["nice"], accepted["processes"]) == ([64, 64], 5, None)
    assert variables(overrides) == {"HOME": NOBODY.pw_dir, "USER": "nobody", "LOGNAME": "nobody"}
    assert socket_of(Path("/state"), accepted["user"]).name == f"wrapper-{NOBODY.pw_uid}.sock"
    assert socket_of(Path("/state"), None).name == "wrapper.sock"


def test_a_user_that_runs_the_container_already_needs_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, NOBODY.pw_uid)
    assert limits(Overrides(run_as="nobody"))["user"] is None


@pytest.mark.parametrize(
    ("uid", "name", "message"),
    [
        (0, "no-such-user", "there is no such user on this host"),
        (NOBODY.pw_uid, "root", "only a container that runs as root"),
    ],
)
def test_a_user_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch, uid: int, name: str, message: str) -> None:
    become(monkeypatch, uid)
    with pytest.raises(ConfigError, match=f"run_as = {name}: {message}"):
        limits(Overrides(run_as=name))


class Group:
    removed = False

    def remove(self, loop: asyncio.AbstractEventLoop) -> None:
        assert loop is asyncio.get_running_loop()
        self.removed = True


class Sockets:
    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.opened: list[tuple[Path, Sequence[Any] | None]] = []

    def ensure(self, path: Path, user: Sequence[Any] | None) -> None:
        if self.error is not None:
            raise self.error
        self.opened.append((path, user))


@pytest.mark.parametrize("error", [None, OSError("no room"), ConfigError("the path is too long")])
def test_without_a_socket_there_is_no_start_and_its_control_group_is_removed(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    group, sockets = Group(), Sockets(error)
    spec = LaunchSpec(
        ref="p.S",
        interpreter=Path("python"),
        socket=Path("wrapper.sock"),
        token="token",
        cgroup=cast(Cgroup, group),
        limits={"user": None},
    )
    monkeypatch.setattr(preparation, "spec_of", lambda *_: spec)

    async def blocking(call: Callable[[], Any]) -> Any:
        return call()

    async def main() -> None:
        prepared = Preparation(cast(Settings, None), Path("/state"), None, sockets, blocking)
        if error is None:
            assert await prepared.prepare(sensor_type(), Overrides(), "token") is spec
            assert sockets.opened == [(spec.socket, None)]
        else:
            with pytest.raises(type(error)):
                await prepared.prepare(sensor_type(), Overrides(), "token")

    asyncio.run(main())
    assert group.removed is (error is not None)
