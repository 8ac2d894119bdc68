"""`st2sensor dispatch`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from st2sensor.errors import TriggerNotFound, TriggerRefused
from tests.support.control_peer import Peer, run


@pytest.mark.parametrize("payload", ['{"x": NaN}', '{"x": -Infinity}', '{"x": 1e999}', '{"x":' * 10**5, "[]", "{"])
def test_a_payload_that_is_not_json_is_a_mistake_of_the_command_line(config_file: Path, payload: str) -> None:
    done = run(config_file, "dispatch", "p.t", "-", given=payload)
    assert done.exit_code == 2, done.stderr
    assert "PAYLOAD" in done.stderr


def test_a_trigger_that_must_not_be_published_is_refused_with_and_without_a_container(
    config_file: Path, peer: Callable[..., Peer]
) -> None:
    assert isinstance(run(config_file, "dispatch", "p.t").exception, TriggerRefused)
    assert isinstance(run(config_file, "triggers", "remove", "p.t").exception, TriggerNotFound)

    def refuse(**params: Any) -> None:
        raise ValueError(f"trigger {params['trigger']} is not registered")

    peer({"dispatch": refuse})
    refused = run(config_file, "dispatch", "p.t").exception
    assert isinstance(refused, TriggerRefused)
    assert str(refused) == "trigger p.t is not registered"
