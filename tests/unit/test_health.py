from __future__ import annotations

from st2sensor.health import Health, changed


def test_a_state_lasts_since_it_began_whatever_its_reason() -> None:
    away = Health(reason="away", since=5.0)
    assert changed(away, "still away") == Health(reason="still away", since=5.0)
    assert changed(Health(reason="", since=7.0), "") == Health(reason="", since=7.0)


def test_another_state_begins_now() -> None:
    assert changed(Health(reason="away", since=5.0), "").since > 5.0
    assert changed(Health(reason="", since=7.0), "away").since > 7.0
