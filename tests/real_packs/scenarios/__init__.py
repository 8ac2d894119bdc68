"""Scenarios that make sensors of real packs dispatch, by the name of the pack's folder. Everything is on loopback."""

from __future__ import annotations

from tests.real_packs.scenarios import apis, brokers, listeners, timers
from tests.real_packs.stage import Scenario

SCENARIOS: dict[str, Scenario] = {
    **apis.SCENARIOS,
    **brokers.SCENARIOS,
    **listeners.SCENARIOS,
    **timers.SCENARIOS,
}
