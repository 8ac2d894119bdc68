"""Every command line in StackStorm's documentation for programs that st2sensor also has: each is accepted as it is
written, runs the right function, and warns if an option has no effect."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

import st2sensor
from st2sensor.cli import invocation
from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.cli.daemon import components
from st2sensor.system.lazy import resolve

CONF = "/etc/st2/st2.conf"

RELOAD: dict[str, Any] = {
    "kinds": (),
    "prune": False,
    "virtualenvs": None,
    "lenient": False,
    "elsewhere": (),
    "pack": None,
    "verbose": False,
    "json_output": False,
}
TEXT = {"json_output": False}
CONTAINER: dict[str, Any] = {
    "debug": False,
    "sensor_ref": None,
    "single_sensor_mode": False,
    "set_aside_damaged_outbox": False,
}
OURS = ("st2sensorcontainer",)

REGISTRATIONS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("--register-all", {"kinds": ("all",)}),
    ("--register-sensors", {"kinds": ("sensors",)}),
    ("--register-triggers", {"kinds": ("triggers",)}),
    ("--register-rules", {"kinds": ("rules",)}),
    ("--register-sensors --register-rules", {"kinds": ("sensors", "rules")}),
    ("--register-configs", {"kinds": ("sensors",)}),
    ("--register-runners", {"elsewhere": ("--register-runners",)}),
    ("--register-actions", {"elsewhere": ("--register-actions",)}),
    ("--register-aliases", {"elsewhere": ("--register-aliases",)}),
    ("--register-policies", {"elsewhere": ("--register-policies",)}),
    ("--register-actions --register-aliases", {"elsewhere": ("--register-actions", "--register-aliases")}),
    ("--register-setup-virtualenvs", {"virtualenvs": "missing"}),
    ("--register-recreate-virtualenvs", {"virtualenvs": "recreate"}),
    ("--register-all --register-setup-virtualenvs", {"kinds": ("all",), "virtualenvs": "missing"}),
    ("--register-no-fail-on-failure", {"lenient": True}),
    ("--register-fail-on-failure", {}),
    ("--verbose", {"verbose": True}),
    ("-v", {"verbose": True}),
    ("--register-sensors --register-fail-on-failure --verbose", {"kinds": ("sensors",), "verbose": True}),
    ("--register-pack /opt/stackstorm/packs/linux", {"pack": Path("/opt/stackstorm/packs/linux")}),
    (
        "--register-pack=/opt/stackstorm/packs/linux/ --register-sensors",
        {"pack": Path("/opt/stackstorm/packs/linux"), "kinds": ("sensors",)},
    ),
    (
        "--register-pack=/opt/stackstorm/packs/linux --register-recreate-virtualenvs --register-no-fail-on-failure",
        {"pack": Path("/opt/stackstorm/packs/linux"), "virtualenvs": "recreate", "lenient": True},
    ),
]

CALLS: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
    *(("st2ctl reload " + line, (), "registration:reload", RELOAD | says) for line, says in REGISTRATIONS),
    *(
        (f"st2-register-content --config-file={CONF} {line}", (CONF,), "registration:reload", RELOAD | says)
        for line, says in REGISTRATIONS
    ),
    ("st2-register-content --register-all", (), "registration:reload", RELOAD | {"kinds": ("all",)}),
    (
        f"st2-register-content --config-file {CONF} --config-dir /etc/st2/conf.d --register-all",
        (CONF, "/etc/st2/conf.d"),
        "registration:reload",
        RELOAD | {"kinds": ("all",)},
    ),
    ("st2-register-content --debug --register-all", (), "registration:reload", RELOAD | {"kinds": ("all",)}),
    ("st2ctl start", (), "background:start", {"components": (), **TEXT}),
    ("st2ctl start st2auth", (), "background:start", {"components": ("st2auth",), **TEXT}),
    ("st2ctl stop", (), "background:stop", {"components": (), **TEXT}),
    ("st2ctl restart", (), "background:restart", {"components": (), **TEXT}),
    ("st2ctl status", (), "background:status", TEXT),
    ("st2ctl clean", (), "background:clean", {"yes": False}),
    ("st2ctl reopen-log-files st2sensorcontainer", (), "background:reopen_log_files", {"components": OURS}),
    (
        "st2ctl reopen-log-files st2actionrunner",
        (),
        "background:reopen_log_files",
        {"components": ("st2actionrunner",)},
    ),
    ("st2ctl restart-component st2sensorcontainer", (), "background:restart", {"components": OURS, **TEXT}),
    ("st2ctl restart-component st2api", (), "background:restart", {"components": ("st2api",), **TEXT}),
    (
        "st2ctl restart-component st2actionrunner",
        (),
        "background:restart",
        {"components": ("st2actionrunner",), **TEXT},
    ),
    ("st2ctl restart-component st2chatops", (), "background:restart", {"components": ("st2chatops",), **TEXT}),
    ("st2sensorcontainer", (), "container:container", CONTAINER),
    (f"st2sensorcontainer --config-file={CONF}", (CONF,), "container:container", CONTAINER),
    (
        f"st2sensorcontainer --config-file {CONF} --debug",
        (CONF,),
        "container:container",
        CONTAINER | {"debug": True},
    ),
    (
        f"st2sensorcontainer --config-file={CONF} --sensor-ref=git.GitCommitSensor",
        (CONF,),
        "container:container",
        CONTAINER | {"sensor_ref": "git.GitCommitSensor"},
    ),
    (
        f"st2sensorcontainer --config-file={CONF} --debug --sensor-ref=pack.SensorClassName",
        (CONF,),
        "container:container",
        CONTAINER | {"sensor_ref": "pack.SensorClassName", "debug": True},
    ),
    (
        "st2sensorcontainer --single-sensor-mode --sensor-ref linux.FileWatchSensor",
        (),
        "container:container",
        CONTAINER | {"sensor_ref": "linux.FileWatchSensor", "single_sensor_mode": True},
    ),
    ("st2sensorcontainer --config-dir=/etc/st2/conf.d", ("/etc/st2/conf.d",), "container:container", CONTAINER),
    (
        "st2-generate-symmetric-crypto-key --key-path k",
        (),
        "generate_symmetric_crypto_key:generate",
        {"key_path": Path("k"), **TEXT},
    ),
]

MEANINGLESS = [
    "st2sensorcontainer --use-debugger",
    "st2sensorcontainer --profile",
    "st2sensorcontainer --enable-profiler",
    "st2sensorcontainer --enable-eventlet-blocking-detection",
    "st2sensorcontainer --eventlet-blocking-detection-resolution=0.25",
    "st2-register-content --use-debugger",
    "st2-register-content --profile",
    "st2-register-content --experimental",
    "st2-register-content --register-runner-dir=/opt/stackstorm/runners",
    "st2ctl reload --register-runner-dir /opt/stackstorm/runners",
]


def run(line: str) -> int:
    program, *arguments = shlex.split(line)
    code: int = resolve(PROGRAMS[program])(arguments)
    return code


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[object, ...], dict[str, Any]]]:
    """Note the functions that command lines would run, without running them."""
    seen: list[tuple[str, tuple[object, ...], dict[str, Any]]] = []

    def find(target: str) -> object:
        return lambda *given, **named: seen.append((target.rpartition(".")[2], given, named))

    monkeypatch.setattr(invocation, "resolve", find)
    return seen


@pytest.mark.parametrize(("line", "files", "target", "says"), CALLS, ids=[line for line, *_ in CALLS])
def test_a_command_of_stackstorms_documents_runs_what_it_says(
    line: str,
    files: tuple[str, ...],
    target: str,
    says: dict[str, Any],
    calls: list[tuple[str, tuple[object, ...], dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(line) == 0
    assert calls[1:] == [(target, (files,), says)]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("line", MEANINGLESS)
def test_an_option_that_means_nothing_here_is_taken_with_a_warning(
    line: str, calls: list[tuple[str, tuple[object, ...], dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line) == 0
    assert len(calls) == 2
    option = next(word for word in line.split() if word.startswith("--")).partition("=")[0]
    assert f"warning: {option} has no effect: " in capsys.readouterr().err


def test_verbose_has_what_is_done_logged(calls: list[tuple[str, tuple[object, ...], dict[str, Any]]]) -> None:
    for line in ("st2ctl reload --verbose", "st2ctl reload"):
        assert run(line) == 0
    configured = [named for target, _, named in calls if target == "setup:configure"]
    assert configured == [{"debug": False, "quiet": False}, {"debug": False, "quiet": True}]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("option", ["-h", "--help", "--version"])
def test_every_program_tells_its_use_and_its_version(
    program: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{program} {option}") == 0
    expected = f"{program} {st2sensor.__version__}\n" if option == "--version" else f"Usage: {program} "
    assert capsys.readouterr().out.startswith(expected)


@pytest.mark.parametrize(
    "line",
    [
        "st2ctl restart-component",
        "st2ctl restart-component st2nothing",
        "st2ctl reopen-log-files st2nothing",
        "st2ctl reload --register-nothing",
        "st2ctl reload --register-pack",
    ],
)
def test_what_stackstorms_command_refuses_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 2
    assert "Error: " in capsys.readouterr().err


def test_pruning_and_one_pack_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("st2ctl reload --prune --register-pack packs/linux") == 2
    assert "omit one of them" in capsys.readouterr().err


# Services of StackStorm.


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        (("restart",), ["systemctl", "restart", "st2api"]),
        (components.MAIN_ALONE, ["systemctl", "kill", "--signal=SIGUSR1", "--kill-who=main", "st2api"]),
    ],
)
def test_a_service_of_stackstorm_is_left_to_systemd(
    verb: tuple[str, ...], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 5)

    monkeypatch.setattr(components, "BOOTED", tmp_path)
    monkeypatch.setattr(subprocess, "run", fail)
    assert components.each(["st2api", "st2sensorcontainer"], lambda: 0, *verb) == 5
    assert ran == [told]


def test_without_systemd_a_service_of_stackstorm_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(components, "BOOTED", tmp_path / "missing")
    assert components.each(["st2api"], lambda: 1, "restart") == 0
    assert "warning: st2api belongs to StackStorm" in capsys.readouterr().err
