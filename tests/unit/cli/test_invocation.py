"""How a command line is run: its function, its errors, its output."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from st2sensor.cli import invocation
from st2sensor.cli import st2sensor as program
from st2sensor.cli.invocation import invoke
from st2sensor.cli.st2sensor import root as st2sensor_root
from st2sensor.system.lazy import resolve
from tests.support.command_lines import ROOTS, commands
from tests.support.control_peer import Peer, node, report


def test_what_runs_is_given_the_configuration_files_and_told_of_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def find(target: str) -> object:
        return lambda *arguments, **named: calls.append((target, arguments, named))

    monkeypatch.setattr(invocation, "resolve", find)
    assert invoke(st2sensor_root, ["--debug", "--config-file", "a", "--config-file", "b", "show", "p.S"], "x") == 0
    assert invoke(st2sensor_root, ["run", "p.S"], "x") == 0
    assert calls == [
        ("st2sensor.logs.setup:configure", (), {"debug": True, "quiet": True}),
        ("st2sensor.cli.commands.show:show", (("a", "b"),), {"ref": "p.S", "json_output": False}),
        ("st2sensor.logs.setup:configure", (), {"debug": False, "quiet": False}),
        ("st2sensor.cli.commands.run:run", ((),), {"ref": "p.S"}),
    ]


def test_a_value_is_completed_from_the_configuration_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(target: str) -> object:
        return lambda files, incomplete: [f"{target} {files} {incomplete}"]

    monkeypatch.setattr(invocation, "resolve", find)
    completing = ShellComplete(st2sensor_root, {}, "st2sensor", "")
    (found,) = completing.get_completions(["--config-file", "a", "show"], "p.")
    assert found.value == "st2sensor.cli.commands.completion:sensors ('a',) p."


@pytest.mark.parametrize("is_debugged", [False, True])
def test_an_error_of_ours_is_a_line_and_a_traceback_only_when_asked_for(
    is_debugged: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(target: str) -> object:
        if target.startswith("st2sensor.cli."):
            raise RuntimeError("a mistake")
        return resolve(target)

    monkeypatch.setattr(invocation, "resolve", fail)
    arguments = ["--debug"] if is_debugged else []
    assert invoke(st2sensor_root, [*arguments, "list"], "st2sensor") == 70
    error = capsys.readouterr().err
    assert "st2sensor: internal error: RuntimeError('a mistake'); run it again with --debug" in error
    assert ("Traceback (most recent call last)" in error) is is_debugged


def test_ctrl_c_is_no_failure_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(target: str) -> object:
        raise KeyboardInterrupt(target)

    monkeypatch.setattr(invocation, "resolve", interrupted)
    assert invoke(st2sensor_root, ["list"], "st2sensor") == 130


def test_an_encoding_without_bars_ends_no_command(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = report(recent=(1, 2, 3), triggered_at=1.0, trigger="p.ä", dispatched=3)
    peer({"sensors": lambda: [busy], "sensor": lambda ref: busy, "node": node})  # noqa: ARG005
    for command in (["list"], ["show", "p.S"]):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
        assert program.main(["--config-file", str(config_file), *command]) == 0
        assert b"p.S" in written.getvalue()


@pytest.mark.parametrize(
    "names", [words for name, root in ROOTS.items() for words, _ in commands(root, name)], ids=" ".join
)
def test_every_command_has_help_with_examples_where_nothing_is_configured(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST2_CONF", str(tmp_path / "missing.conf"))
    done = CliRunner().invoke(ROOTS[names[0]], [*names[1:], "--help"])
    assert done.exit_code == 0, done.output
    assert "Examples:" in done.output
