"""One zygote per base interpreter: what each starts, guards and kills, and how a dead one is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.container.launch import zygotes as module
from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import Inherited, LaunchSpec
from st2sensor.container.launch.zygotes import FIRST_REPLACEMENT, LAST_REPLACEMENT, OWN, Zygotes, base_of
from st2sensor.sharing.clocks import Moment


class FakeZygote:
    """A zygote that starts processes with growing process ids."""

    made: list[FakeZygote] = []  # noqa: RUF012
    failure: OSError | None = None

    def __init__(self, loop: Any, interpreter: Path, common: Any, sensors: Any, died: Callable[[Any], None]) -> None:  # noqa: ARG002
        if FakeZygote.failure is not None:
            raise FakeZygote.failure
        self.interpreter = interpreter
        self.died = died
        self.done: list[tuple[Any, ...]] = []
        self.pid = 1000 + len(self.made)
        self.during: Callable[[], None] = lambda: None
        self.made.append(self)

    async def start(self, launch: LaunchSpec, *, execute: bool) -> Handle:
        self.during()
        self.done.append(("start", launch.ref, execute))
        return Handle(self.pid * 10 + len(self.done), -1, -1, "")

    def hold(self, groups: Iterable[int]) -> None:
        if list(groups):
            self.done.append(("hold", *sorted(groups)))

    def forget(self, group: int) -> None:
        self.done.append(("forget", group))

    def guard(self, prefix: Path) -> None:
        self.done.append(("guard", prefix))

    def limit(self, end: Moment) -> None:
        self.done.append(("limit", end))

    def close(self) -> None:
        self.done.append(("close",))


class Loop:
    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        self.later.append((seconds, call, arguments))

    def go_on(self) -> float:
        seconds, call, arguments = self.later.pop(0)
        call(*arguments)
        return seconds


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeZygote, "made", [])
    monkeypatch.setattr(FakeZygote, "failure", None)
    monkeypatch.setattr(module, "ZygoteClient", FakeZygote)
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    monkeypatch.setattr(module, "empty_environment", lambda base, folder: folder / base.name)
    monkeypatch.setattr("ctypes.CDLL", lambda _: cast(Any, type("C", (), {"prctl": lambda *_: 0})()))


@pytest.fixture
def loop() -> Loop:
    return Loop()


def zygotes(loop: Loop, cgroups: Path | None = None) -> Zygotes:
    inherited = Inherited(umask=0o022, open_files=(1024, 1024))
    return Zygotes(cast(asyncio.AbstractEventLoop, loop), Path("/z"), Path("/z/s"), inherited, cgroups)


def launch(interpreter: Path = OWN, eventlet: tuple[str, ...] | None = None) -> LaunchSpec:
    return LaunchSpec(
        ref="p.S",
        interpreter=interpreter,
        socket=Path("/z/s"),
        token="token",
        eventlet=eventlet,
        cgroup=None,
        limits={},
        variables={},
    )


def environment(folder: Path, *, copied: bool = False) -> tuple[Path, Path]:
    """Return the interpreter of a virtualenv, and the one it was made from."""
    base, python = folder / "base" / "python3", folder / "venv" / "bin" / "python3"
    for path in (base, python):
        path.parent.mkdir(parents=True, exist_ok=True)
    base.touch()
    if copied:
        python.touch()
    else:
        python.symlink_to(base)
    (folder / "venv" / "pyvenv.cfg").touch()
    return python, base


def test_a_base_is_found_unless_the_virtualenv_holds_a_copy(tmp_path: Path) -> None:
    python, base = environment(tmp_path)
    assert base_of(python) == base
    assert base_of(base) == base
    copy, _ = environment(tmp_path / "other", copied=True)
    assert base_of(copy) is None


def test_sensors_of_one_base_share_a_zygote(loop: Loop, tmp_path: Path) -> None:
    python, base = environment(tmp_path)
    copy, _ = environment(tmp_path / "other", copied=True)
    found = zygotes(loop, Path("/cg/sensor-1-"))
    for spec in (launch(), launch(python), launch(base), launch(copy), launch(eventlet=("thread",))):
        asyncio.run(found.start(spec))
    own, other = FakeZygote.made
    guard = ("guard", Path("/cg/sensor-1-"))
    assert own.interpreter == OWN
    # A copied interpreter, and one that is patched by eventlet, has to be executed.
    assert own.done == [guard, ("start", "p.S", False), ("start", "p.S", True), ("start", "p.S", True)]
    assert other.interpreter == Path("/z/python3")
    assert other.done == [guard, ("start", "p.S", False), ("start", "p.S", False)]
    assert found.own_processes == {1000, 1001}


def test_a_start_is_under_way_until_its_process_is_known(loop: Loop) -> None:
    found = zygotes(loop)
    asyncio.run(found.start(launch()))
    seen: list[bool] = []
    FakeZygote.made[0].during = lambda: seen.append(found.is_starting)
    asyncio.run(found.start(launch()))
    assert [*seen, found.is_starting] == [True, False]


def test_a_start_that_fails_is_no_longer_under_way(loop: Loop) -> None:
    found = zygotes(loop)
    asyncio.run(found.start(launch()))

    def fail() -> None:
        raise OSError("no")

    FakeZygote.made[0].during = fail
    with pytest.raises(OSError, match="no"):
        asyncio.run(found.start(launch()))
    assert not found.is_starting


def test_a_group_is_dropped_by_the_zygote_that_holds_it(loop: Loop, tmp_path: Path) -> None:
    _, base = environment(tmp_path)
    found = zygotes(loop)
    process = asyncio.run(found.start(launch()))
    asyncio.run(found.start(launch(base)))
    found.forget(process.pid)
    found.forget(process.pid)
    own, other = FakeZygote.made
    assert own.done.count(("forget", process.pid)) == 1
    assert ("forget", process.pid) not in other.done
    found.disown(5)
    assert own.done[-1] == other.done[-1] == ("forget", 5)


def test_a_deadline_holds_for_zygotes_of_now_and_later(loop: Loop, tmp_path: Path) -> None:
    _, base = environment(tmp_path)
    found, end = zygotes(loop), Moment(1, 2)
    asyncio.run(found.start(launch()))
    found.limit(end)
    asyncio.run(found.start(launch(base)))
    assert [("limit", end) in zygote.done for zygote in FakeZygote.made] == [True, True]
    found.close()
    assert [zygote.done[-1] for zygote in FakeZygote.made] == [("close",), ("close",)]
    assert found.own_processes == set()


def test_a_zygote_that_dies_is_replaced_and_its_successor_holds_the_groups(loop: Loop) -> None:
    found = zygotes(loop)
    process = asyncio.run(found.start(launch()))
    first = FakeZygote.made[0]
    first.died(first)
    assert found.own_processes == set()
    assert loop.go_on() == FIRST_REPLACEMENT
    assert FakeZygote.made[1].done == [("hold", process.pid)]


def test_a_zygote_without_groups_is_not_replaced(loop: Loop) -> None:
    found = zygotes(loop)
    process = asyncio.run(found.start(launch()))
    found.forget(process.pid)
    first = FakeZygote.made[0]
    first.died(first)
    loop.go_on()
    assert len(FakeZygote.made) == 1


def test_each_death_doubles_the_wait_until_something_starts(loop: Loop) -> None:
    found = zygotes(loop)
    asyncio.run(found.start(launch()))
    for times in (1, 2, 4):
        FakeZygote.made[-1].died(FakeZygote.made[-1])
        assert loop.go_on() == FIRST_REPLACEMENT * times
    asyncio.run(found.start(launch()))
    FakeZygote.made[-1].died(FakeZygote.made[-1])
    assert loop.go_on() == FIRST_REPLACEMENT


def test_a_zygote_that_cannot_be_replaced_is_tried_again(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    found = zygotes(loop)
    asyncio.run(found.start(launch()))
    FakeZygote.made[0].died(FakeZygote.made[0])
    FakeZygote.failure = OSError("no memory")
    loop.go_on()
    assert "cannot be replaced for now: no memory" in caplog.text
    FakeZygote.failure = None
    assert loop.go_on() == LAST_REPLACEMENT
    assert len(FakeZygote.made) == 2


def test_a_process_that_starts_while_its_zygote_dies_is_held_by_the_successor(loop: Loop) -> None:
    found = zygotes(loop)
    asyncio.run(found.start(launch()))
    first = FakeZygote.made[0]

    def die() -> None:
        first.died(first)
        loop.go_on()

    first.during = die
    process = asyncio.run(found.start(launch()))
    assert FakeZygote.made[1].done[-1] == ("hold", process.pid)
