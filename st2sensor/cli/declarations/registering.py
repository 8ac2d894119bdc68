"""The options of commands that register content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from st2sensor.cli.declarations.accepted import warned
from st2sensor.cli.declarations.shared import as_json
from st2sensor.cli.invocation import VERBOSE
from st2sensor.packs.registrable import MISSING, RECREATE, RULES, SENSORS, TRIGGERS

ELSEWHERE = tuple(f"--register-{what}" for what in ("actions", "aliases", "policies", "runners"))
"""Options of StackStorm's command for content that sensors do not need."""

RUNNERS = "runners are left to StackStorm"


def _verbose(context: click.Context, parameter: click.Parameter, value: bool) -> bool:  # noqa: ARG001
    context.meta[VERBOSE] = value
    return value


def flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        as_json,
        *(click.option(name, "elsewhere", flag_value=name, multiple=True, hidden=True) for name in ELSEWHERE),
        click.option("--register-runner-dir", metavar="DIR", hidden=True, expose_value=False, callback=warned(RUNNERS)),
        click.option("--experimental", is_flag=True, hidden=True, expose_value=False, callback=warned(RUNNERS)),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            callback=_verbose,
            help="Show unchanged content as well, and log each step.",
        ),
        click.option(
            "--register-pack",
            "pack",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Register only the pack in this folder, which may be anywhere.",
        ),
        click.option(
            "--register-no-fail-on-failure", "lenient", is_flag=True, help="Exit with code 0 even if something fails."
        ),
        click.option("--register-fail-on-failure", "strict", is_flag=True, hidden=True, expose_value=False),
        click.option(
            "--register-recreate-virtualenvs",
            "virtualenvs",
            flag_value=RECREATE,
            help="First rebuild every virtualenv.",
        ),
        click.option(
            "--register-setup-virtualenvs",
            "virtualenvs",
            flag_value=MISSING,
            help="First build virtualenvs that are missing, or whose requirements have changed.",
        ),
        click.option("--register-configs", "kinds", flag_value=SENSORS, multiple=True, hidden=True),
        click.option(
            "--prune", is_flag=True, help="Also unregister sensors and rules of packs that are not on this host."
        ),
        click.option("--register-rules", "kinds", flag_value=RULES, multiple=True, help="Register rules."),
        click.option(
            "--register-triggers",
            "kinds",
            flag_value=TRIGGERS,
            multiple=True,
            help="Register the trigger types in triggers/.",
        ),
        click.option("--register-sensors", "kinds", flag_value=SENSORS, multiple=True, help="Register sensors."),
        click.option("--register-all", "kinds", flag_value="all", multiple=True, help="Register everything. [default]"),
    ):
        function = option(function)
    return function
