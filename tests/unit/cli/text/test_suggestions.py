from __future__ import annotations

import pytest

from st2sensor.cli.text.suggestions import did_you_mean

KNOWN = ["linux.FileWatchSensor", "examples.SampleSensor", "core.TimerSensor"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("linux.FileWachSensor", "; did you mean linux.FileWatchSensor?"),
        ("LINUX.FILEWATCHSENSOR", "; did you mean linux.FileWatchSensor?"),
        ("linus.FileWatchSensor", "; did you mean linux.FileWatchSensor?"),
        ("somewhere.else.SampleSensors", "; did you mean examples.SampleSensor?"),
        ("q.Nothing", ""),
        ("", ""),
    ],
)
def test_a_similar_name_is_suggested(name: str, said: str) -> None:
    assert did_you_mean(name, KNOWN) == said


def test_at_most_three_names_are_suggested() -> None:
    assert did_you_mean("p.s0", [f"p.s{number}" for number in range(1, 9)]).count(" or ") == 2
