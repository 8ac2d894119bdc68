"""The samples of the last hour."""

from __future__ import annotations

from st2sensor.status.history import SAMPLES, History


def test_a_sample_counts_the_triggers_since_the_one_before() -> None:
    history = History()
    assert (history.last, history.after(0.0)) == (0.0, [])
    history.add(10.04, 1000, 0)
    history.add(20.0, 1007, 3)
    history.add(30.0, 1007, 0)
    assert history.after(0.0) == [(10.0, 0, 0), (20.0, 7, 3), (30.0, 0, 0)]
    assert history.after(20.0) == [(30.0, 0, 0)]
    assert history.last == 30.0


def test_an_hour_is_kept() -> None:
    history = History()
    for number in range(SAMPLES + 5):
        history.add(float(number), number, 0)
    kept = history.after(-1.0)
    assert (len(kept), kept[0][0]) == (SAMPLES, 5.0)
