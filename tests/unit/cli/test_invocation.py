"""Help and output of every command."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from st2sensor.cli import st2sensor as program
from tests.support.command_lines import ROOTS, commands
from tests.support.control_peer import Peer, node, report


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
