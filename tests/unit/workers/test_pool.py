"""Worker processes: they run tasks, and are ended when a task takes too much time or memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from st2sensor.errors import WorkersBusy, WorkExceeded, WorkFailed
from st2sensor.workers.limits import Limits
from st2sensor.workers.pool import Pool
from tests.plugins.patience import AT_LAST, SOON
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT

TASKS = {
    name: f"tests.plugins.tasks:{name}"
    for name in ("double", "calls", "spin", "sleep", "fill", "text", "fail", "die", "situation", "missing")
}

MakePool = Callable[..., Pool]

OTHERS: list[psutil.Process] = []
"""The children that this process had when a test began."""

BRIEF = 0.2
"""Seconds that tasks that never end may take."""


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    made: list[Pool] = []
    OTHERS[:] = psutil.Process().children()

    def make(**options: object) -> Pool:
        made.append(Pool(TASKS, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def workers() -> list[psutil.Process]:
    """Return the worker processes of this test's pools: those of other tests may run until this process ends."""
    return [child for child in psutil.Process().children() if child not in OTHERS and is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "workers" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_a_function_is_called_and_its_result_returned(make_pool: MakePool) -> None:
    pool = make_pool()
    assert not workers()
    assert pool.run("double", [21], SOON) == 42
    assert pool.run("double", b"[4]", SOON) == 8
    assert len(workers()) == 1


def test_an_idle_process_ends_and_the_next_task_starts_one_again(make_pool: MakePool) -> None:
    pool = make_pool(idle_timeout=BRIEF)
    for number in range(2):
        assert pool.run("double", [number], SOON) == 2 * number
        eventually("it has ended", lambda: not workers())
        eventually("nothing watches for idle ones", lambda: "worker-reaper" not in names())


def test_a_process_that_works_is_not_idle(make_pool: MakePool) -> None:
    pool = make_pool(idle_timeout=0.01, processes=1)
    with ThreadPoolExecutor() as threads:
        assert pool.run("double", [1], SOON) == 2
        eventually("it has ended", lambda: not workers())
        slow = threads.submit(pool.run, "sleep", [0.5], SOON)
        assert pool.run("double", [2], SOON) == 4
        slow.result()


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_what_a_process_keeps_stays_from_call_to_call(make_pool: MakePool) -> None:
    pool = make_pool()
    (first, pid), (second, again) = pool.run("calls", [], SOON), pool.run("calls", [], SOON)
    assert (first, second, pid) == (1, 2, again)


def test_what_takes_too_long_is_ended_and_the_next_task_is_done(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(WorkExceeded, match=r"spin took more than 0\.2 s") as raised:
        pool.run("spin", [], BRIEF)
    assert raised.value.what == "time"
    assert not workers()
    assert pool.run("double", [1], SOON) == 2


def test_what_takes_too_much_memory_is_ended_and_the_next_task_is_done(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(WorkExceeded, match="fill exceeded the limit of 512,000,000 bytes of memory") as raised:
        pool.run("fill", [10**9], SOON)
    assert raised.value.what == "memory"
    assert not workers()
    assert pool.run("fill", [10**8], SOON) == 10**8


def test_arguments_and_results_have_a_limit(make_pool: MakePool) -> None:
    pool = make_pool(limits=Limits(request=1000, answer=100))
    with pytest.raises(WorkExceeded, match="double was given 1,002 bytes of arguments; the limit is 1,000"):
        pool.run("double", b"[" + b" " * 1000 + b"]", SOON)
    with pytest.raises(WorkExceeded, match="text exceeded the limit of 100 bytes of result") as raised:
        pool.run("text", [1000], SOON)
    assert raised.value.what == "answer"
    assert pool.run("text", [10], SOON) == "x" * 10


def test_a_large_argument_and_a_large_result_come_through(make_pool: MakePool) -> None:
    pool = make_pool()
    assert pool.run("double", ["y" * 1_500_000], SOON) == "y" * 3_000_000


def test_a_failure_is_told_without_what_it_was_about(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(WorkFailed, match=r"^fail failed in its worker process: ValueError$"):
        pool.run("fail", [], SOON)
    # The process can still be used.
    assert len(workers()) == 1


def test_a_process_that_dies_fails_its_task_alone(make_pool: MakePool) -> None:
    pool = make_pool()
    with pytest.raises(WorkFailed, match="its worker process ended by SIGKILL"):
        pool.run("die", [], SOON)
    assert pool.run("double", [1], SOON) == 2
    (worker,) = workers()
    worker.kill()
    eventually("its end", lambda: worker.status() == psutil.STATUS_ZOMBIE)
    assert pool.run("double", [2], SOON) == 4


def test_a_function_that_is_not_in_the_table_or_not_there_is_refused(make_pool: MakePool) -> None:
    pool = make_pool()
    for name in ("os.system", "missing"):
        with pytest.raises(WorkFailed, match=name):
            pool.run(name, [], SOON)
    assert pool.run("double", [1], SOON) == 2


def test_only_so_many_run_at_once_and_others_wait_their_turn(make_pool: MakePool) -> None:
    pool = make_pool(processes=2)
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(lambda _: pool.run("calls", [], SOON)[1], range(40)))
    assert len(set(seen)) <= 2
    assert len(workers()) <= 2


def test_what_waits_too_long_or_behind_too_many_is_refused(make_pool: MakePool) -> None:
    pool = make_pool(processes=1, waiting=1, patience=BRIEF)
    with ThreadPoolExecutor(2) as threads:
        long = threads.submit(pool.run, "sleep", [AT_LAST], AT_LAST)
        eventually("a worker process", workers)
        with pytest.raises(WorkersBusy, match=r"double was not run: others took more than 0\.2 s"):
            pool.run("double", [1], SOON)
        patient = make_pool(processes=0, waiting=0)
        with pytest.raises(WorkersBusy, match="double was not run: 0 tasks are already waiting"):
            patient.run("double", [1], SOON)
        pool.close()
        with pytest.raises(WorkFailed):
            long.result(SOON)


def test_a_closed_pool_ends_its_processes_also_those_that_work(make_pool: MakePool) -> None:
    pool = make_pool()
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(pool.run, "spin", [], AT_LAST)
        eventually("a worker process", workers)
        pool.close()
        with pytest.raises(WorkFailed):
            long.result(SOON)
    eventually("no worker process", lambda: not workers())
    with pytest.raises(WorkersBusy):
        pool.run("double", [1], SOON)


def test_a_process_is_in_a_group_of_its_own_without_signals_descriptors_variables_or_libraries(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s")
    with open(os.devnull) as open_file:
        os.set_inheritable(open_file.fileno(), True)
        found = make_pool().run("situation", [], SOON)
    assert found["ignored"] == ["SIGINT", "SIGTERM"]
    assert found["leads_group"]
    # The three standard ones, the socket, the pipe, and the one that lists them.
    assert found["descriptors"] == 6
    assert "SECRET" not in found["variables"]
    assert not {"jinja2", "jsonschema", "yaml", "kombu", "pymongo", "asyncio"} & set(found["modules"])


@pytest.mark.parametrize("task", ["spin", "double"])
def test_a_process_dies_with_the_one_that_has_started_it_whatever_it_does(folder: Path, task: str) -> None:
    script = folder / "parent.py"
    arguments = [1] if task == "double" else []
    script.write_text(
        "import threading\n"
        "from st2sensor.workers.pool import Pool\n"
        f"pool = Pool({TASKS!r})\n"
        f"threading.Thread(target=pool.run, args=({task!r}, {arguments!r}, 1000)).start()\n"
        "threading.Event().wait()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], env=environment) as parent:
        process = psutil.Process(parent.pid)
        (worker,) = eventually("a worker process", process.children)
        if task == "spin":
            eventually("work", lambda: sum(worker.cpu_times()[:2]) > BRIEF)
        parent.kill()
    eventually("its end", lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
