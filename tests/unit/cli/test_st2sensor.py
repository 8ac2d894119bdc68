"""Declarations of commands: each names the function that runs it, and nothing is loaded before it is needed."""

from __future__ import annotations

import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import typing
from collections.abc import Collection
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

import st2sensor
from st2sensor.cli import declarations
from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.cli.invocation import Body
from st2sensor.cli.st2sensor import SECTIONS
from st2sensor.cli.st2sensor import root as st2sensor_root
from st2sensor.cli.text import colours
from st2sensor.reports import STATES
from st2sensor.system.lazy import resolve
from tests.support.command_lines import ROOTS, bodies, commands
from tests.support.workspace import ROOT

FOR_HELP = """
from click.shell_completion import ShellComplete
from st2sensor.cli.invocation import invoke
from tests.support.command_lines import ROOTS, commands

for name, root in ROOTS.items():
    for words, _ in commands(root, name):
        assert invoke(root, [*words[1:], "--help"], name) == 0, words
        assert ShellComplete(root, {}, name, "").get_completions([*words[1:]], "--"), words
    assert invoke(root, ["--version"], name) == 0, name
"""

TO_LOOK = """
from st2sensor.system.lazy import resolve

for target in ("logs.setup:configure", "cli.commands.list:list_", "cli.commands.show:show"):
    resolve(f"st2sensor.{target}")
"""

ONE_PROGRAM = """
import runpy

sys.argv = ["", "st2ctl", "--version"]
try:
    runpy.run_module("st2sensor.cli", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
"""

LIBRARIES = {
    *("aiohttp", "amqp", "asyncio", "cryptography", "jinja2", "jsonschema", "kombu", "pymongo", "uvloop"),
    *("watchfiles", "yaml", "st2sensor.container", "st2sensor.core_pack", "st2sensor.packs.registration.registry"),
}
NOT_FOR_HELP = LIBRARIES | {
    *("logging", "oslo_config", "rich", "socket", "sqlite3", "traceback", "st2sensor.config", "st2sensor.logs"),
    *("st2sensor.models", "st2sensor.settings", "st2sensor.storage", "st2sensor.transport"),
}
NOT_TO_LOOK = LIBRARIES | {
    *("st2sensor.datastore", "st2sensor.models", "st2sensor.packs", "st2sensor.sharing"),
    *("st2sensor.storage", "st2sensor.transport"),
}


def loaded(code: str, among: Collection[str]) -> list[str]:
    """Return which of some modules and packages a fresh interpreter has loaded after running some code.

    The interpreter is not measured for coverage, which loads modules of its own.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    told = f"import json, sys\n{code}\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return [name for name in modules if any(f"{name}.".startswith(f"{package}.") for package in among)]


def test_help_completion_and_version_load_next_to_nothing() -> None:
    assert loaded(FOR_HELP, NOT_FOR_HELP) == []


def test_a_look_at_what_runs_loads_no_server_and_no_container() -> None:
    assert loaded(TO_LOOK, NOT_TO_LOOK) == []


def test_a_program_loads_no_other() -> None:
    modules = [target.partition(":")[0] for target in PROGRAMS.values()]
    assert loaded(ONE_PROGRAM, modules) == ["st2sensor.cli.st2ctl"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_tells_its_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve(PROGRAMS[name])(["--version"]) == 0
    assert capsys.readouterr().out == f"{name} {st2sensor.__version__}\n"


# The functions that run commands.

WITHOUT_JSON = {
    "st2sensor run": "prints the sensor's own output",
    "st2sensor config": "prints a file",
    "st2sensor completion": "prints a file",
    "st2sensorcontainer": "is a daemon, whose log has formats of its own",
    "st2ctl reopen-log-files": "prints nothing",
    "st2ctl clean": "prints nothing",
}


@pytest.mark.parametrize(("command", "body"), [pytest.param(*pair, id=pair[1].target) for pair in bodies()])
def test_what_runs_a_command_takes_what_that_declares(command: click.Command, body: Body) -> None:
    function = resolve(body.target)
    config_files, *rest = inspect.signature(function).parameters.values()
    assert config_files.name.removeprefix("_") == "config_files"
    kinds, names = {parameter.kind for parameter in rest}, {parameter.name for parameter in rest}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        (unpacked,) = typing.get_args(typing.get_type_hints(function)["options"])
        names = (names - {"options"}) | set(typing.get_type_hints(unpacked))
    assert kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
    assert [parameter.name for parameter in rest if parameter.default is not inspect.Parameter.empty] == []
    assert names == {item.name for item in command.params if item.expose_value}


def test_every_command_runs_something_and_every_group_has_commands() -> None:
    for name, root in ROOTS.items():
        for words, command in commands(root, name):
            assert isinstance(command.callback, Body) or (isinstance(command, click.Group) and command.commands), words


def test_each_command_is_run_by_the_module_of_its_name() -> None:
    for words, command in commands(st2sensor_root, "st2sensor"):
        if len(words) > 1 and isinstance(command.callback, Body):
            module = words[1].replace("-", "_")
            assert command.callback.target.partition(":")[0] == f"st2sensor.cli.commands.{module}", words


def test_every_command_prints_json_unless_a_reason_is_known() -> None:
    found = {
        " ".join(words)
        for name, root in ROOTS.items()
        for words, command in commands(root, name)
        if isinstance(command.callback, Body) and not any("--json" in item.opts for item in command.params)
    }
    assert found == set(WITHOUT_JSON)


def test_no_section_is_left_out() -> None:
    for module in pkgutil.iter_modules(declarations.__path__, f"{declarations.__name__}."):
        section = getattr(import_module(module.name), "section", None)
        assert section is None or section in SECTIONS, module.name


@pytest.mark.parametrize("name", ROOTS)
def test_no_command_is_cut_short_where_it_is_listed(name: str) -> None:
    for words, command in commands(ROOTS[name], name):
        if isinstance(command, click.Group):
            listed = CliRunner().invoke(command, ["--help"], terminal_width=80).output.partition("--help")[2]
            assert "..." not in listed.partition("Examples:")[0], words


def test_the_help_shows_every_command_once() -> None:
    names = [name for section in SECTIONS for name in section.commands]
    assert sorted(names) == sorted(set(names)) == sorted(st2sensor_root.commands)
    shown = CliRunner().invoke(st2sensor_root, ["--help"]).output
    assert re.findall(r"^  ([a-z][a-z-]*)  ", shown, re.MULTILINE) == names
    assert [heading for heading in re.findall(r"^(\S.*):$", shown, re.MULTILINE) if heading != "Options"] == [
        section.name for section in SECTIONS
    ]


@pytest.mark.parametrize("name", ROOTS)
def test_help_fits_a_terminal_of_80_columns(name: str) -> None:
    for words, command in commands(ROOTS[name], name):
        shown = CliRunner().invoke(command, ["--help"], terminal_width=80).output
        assert [line for line in shown.splitlines() if len(line) > 80] == [], words


def test_every_state_has_a_colour_and_can_be_asked_for() -> None:
    assert sorted(colours.OF_STATES) == sorted(STATES)
