from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.models import Expectation, Overrides, SensorType
from st2sensor.packs import overrides

SENSOR = SensorType(pack="p", name="S", artifact_uri="file:///s.py", entry_point="sensors.s.S", poll_interval=5)


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text)


def warnings(folder: Path, pack: str = "p") -> list[str]:
    return [str(warning).removeprefix(f"{folder}/") for warning in overrides.load(folder, pack).warnings]


def enabled(folder: Path, name: str, pack: str = "p") -> bool:
    return overrides.load(folder, pack).apply(replace(SENSOR, name=name))[0].enabled


def test_without_files_nothing_is_overridden(tmp_path: Path) -> None:
    assert overrides.load(tmp_path / "missing", "p").apply(SENSOR) == (SENSOR, Overrides())
    for text in ("", "sensors:\nst2sensor:\nrules:\n", "sensors: {defaults: , exceptions: {S: }}\n"):
        write(tmp_path, "p", text)
        loaded = overrides.load(tmp_path, "p")
        assert (loaded.apply(SENSOR), loaded.warnings) == ((SENSOR, Overrides()), ())


def test_stackstorms_own_form_says_which_sensors_and_rules_are_on(tmp_path: Path) -> None:
    write(tmp_path, "_global", "sensors: {defaults: {enabled: false}}\nrules: {defaults: {enabled: false}}\n")
    write(
        tmp_path,
        "p",
        "sensors:\n  exceptions:\n    S: {enabled: true}\nrules:\n  exceptions:\n    r: {enabled: true}\n"
        "actions: {defaults: {enabled: false}}\naliases: {exceptions: {a: {enabled: false}}}\n",
    )
    assert [enabled(tmp_path, "S"), enabled(tmp_path, "T"), enabled(tmp_path, "S", "q")] == [True, False, False]
    loaded = overrides.load(tmp_path, "p")
    assert [loaded.disables("r"), loaded.disables("s")] == [False, True]
    assert not warnings(tmp_path)
    write(tmp_path, "p", "sensors: {defaults: {enabled: true}, exceptions: {S: {enabled: false}}}\n")
    assert [enabled(tmp_path, "S"), enabled(tmp_path, "T")] == [False, True]


def test_the_packs_file_goes_over_the_global_one_and_exceptions_over_defaults(tmp_path: Path) -> None:
    write(tmp_path, "_global", "st2sensor: {defaults: {nice: 1, open_files: 100, processes: 5}}\n")
    write(
        tmp_path,
        "p",
        "st2sensor:\n  defaults: {nice: 2, setup_timeout: 30}\n"
        "  exceptions:\n    S: {nice: 3, poll_interval: 0.5, trigger_timeout: 7}\n    T:\n",
    )
    sensor, rest = overrides.load(tmp_path, "p").apply(SENSOR)
    assert sensor.poll_interval == 0.5
    assert rest == Overrides(nice=3, open_files=100, processes=5, setup_timeout=30, trigger_timeout=7)
    other, rest = overrides.load(tmp_path, "q").apply(SENSOR)
    assert (other, rest) == (SENSOR, Overrides(nice=1, open_files=100, processes=5))


def test_the_older_form_is_still_read_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, "_global", "default:\n  sensors: {nice: 1, open_files: 100, enabled: false}\n")
    write(
        tmp_path,
        "p",
        "default:\n  sensors: {nice: 2, setup_timeout: 30}\n"
        "exceptions:\n  sensors:\n    S: {nice: 3, enabled: true, poll_interval: 0.5}\n    T:\n",
    )
    sensor, rest = overrides.load(tmp_path, "p").apply(SENSOR)
    assert (sensor.enabled, sensor.poll_interval) == (True, 0.5)
    assert rest == Overrides(nice=3, open_files=100, setup_timeout=30)
    other, rest = overrides.load(tmp_path, "q").apply(SENSOR)
    assert (other.enabled, rest) == (False, Overrides(nice=1, open_files=100))
    told = warnings(tmp_path)
    assert [warning.partition(": this form")[0] for warning in told] == [
        "_global.yaml:1: default",
        "p.yaml:1: default",
        "p.yaml:3: exceptions",
    ]
    assert all("write enabled into sensors: {defaults: ..., exceptions: ...} and all else" in line for line in told)


def test_the_newer_form_goes_over_the_older_one(tmp_path: Path) -> None:
    write(
        tmp_path,
        "p",
        "default: {sensors: {nice: 1, enabled: true}}\nexceptions: {sensors: {S: {nice: 2, open_files: 50}}}\n"
        "sensors: {defaults: {enabled: false}}\nst2sensor: {exceptions: {S: {nice: 3}}}\n",
    )
    sensor, rest = overrides.load(tmp_path, "p").apply(SENSOR)
    assert (sensor.enabled, rest) == (False, Overrides(nice=3, open_files=50))


@pytest.mark.parametrize(
    ("name", "text", "warning"),
    [
        (
            "p",
            "sensor: {defaults: {enabled: false}}",
            "p.yaml:1: sensor is not known and has no effect; did you mean s",
        ),
        ("p", "other: 1", "p.yaml:1: other is not known and has no effect; use one of actions, aliases, rules"),
        (
            "p",
            "sensors: {default: {enabled: false}}",
            "sensors.default is not known and has no effect; did you mean de",
        ),
        ("p", "rules: {defaults: {enable: false}}", "rules.defaults.enable is not known and has no effect; did you me"),
        (
            "p",
            "sensors:\n  exceptions:\n    S:\n      memory: 60M",
            "p.yaml:4: sensors.exceptions.S.memory has no effect here, and StackStorm refuses it; move it to st2sens",
        ),
        (
            "p",
            "st2sensor: {defaults: {enabled: false}}",
            "st2sensor.defaults.enabled has no effect here; move it to sensors:, which StackStorm also reads",
        ),
        (
            "p",
            "st2sensor: {defaults: {polltimeout: 5}}",
            "polltimeout is not known and has no effect; did you mean poll",
        ),
        ("p", "default: {sensors: {polltimeout: 5}}", "default.sensors.polltimeout is not known and has no effect"),
        ("p", "default: {rules: {enabled: false}}", "default.rules is not known and has no effect"),
        ("p", "exceptions: {sensors: {S: {nise: 5}}}", "exceptions.sensors.S.nise is not known and has no effect"),
        ("_global", "sensors: {exceptions: {S: {enabled: false}}}", "sensors.exceptions has no effect in _global.yaml"),
        ("_global", "exceptions: {sensors: {S: {nice: 5}}}", "exceptions.sensors has no effect in _global.yaml; move"),
    ],
)
def test_what_has_no_effect_is_warned_of(tmp_path: Path, name: str, text: str, warning: str) -> None:
    write(tmp_path, name, text)
    assert overrides.load(tmp_path, "p").apply(SENSOR) == (SENSOR, Overrides())
    assert warning in warnings(tmp_path)[-1]


def test_exceptions_of_sensors_that_there_are_not_are_warned_of(tmp_path: Path) -> None:
    assert not list(overrides.load(tmp_path, "p").strangers({"S"}))
    write(tmp_path, "_global", "st2sensor: {defaults: {nice: 1}}\n")
    assert not list(overrides.load(tmp_path, "p").strangers({"S"}))
    write(
        tmp_path,
        "p",
        "sensors: {exceptions: {S: {enabled: true}, Ticke: {enabled: false}}}\nst2sensor:\n  exceptions:\n    T:\n"
        "exceptions: {sensors: {U: {nice: 1}}}\nrules: {exceptions: {r: {enabled: true}}}\n",
    )
    assert [
        str(item).removeprefix(f"{tmp_path}/") for item in overrides.load(tmp_path, "p").strangers({"S", "Ticker"})
    ] == [
        "p.yaml:1: sensors.exceptions.Ticke has no effect: the pack has no such sensor; did you mean Ticker?",
        "p.yaml:4: st2sensor.exceptions.T has no effect: the pack has no such sensor; use one of S, Ticker",
        "p.yaml:5: exceptions.sensors.U has no effect: the pack has no such sensor; use one of S, Ticker",
    ]


@pytest.mark.parametrize(
    ("written", "size"), [("1000", 1000), ("2K", 2048), ("'60M'", 60 * 2**20), ("1G", 2**30), ("'77'", 77)]
)
def test_memory_has_units(tmp_path: Path, written: str, size: int) -> None:
    write(tmp_path, "p", f"st2sensor: {{defaults: {{memory: {written}}}}}")
    assert overrides.load(tmp_path, "p").apply(SENSOR)[1].memory == size


def test_labels_are_a_list_and_an_empty_one_needs_none(tmp_path: Path) -> None:
    write(tmp_path, "_global", "st2sensor: {defaults: {runs_on: [dmz]}}")
    write(tmp_path, "p", "st2sensor: {exceptions: {S: {runs_on: [gpu, dmz]}, T: {runs_on: []}}}")
    loaded = overrides.load(tmp_path, "p")
    assert loaded.apply(SENSOR)[1] == Overrides(runs_on=("gpu", "dmz"))
    assert loaded.apply(replace(SENSOR, name="T"))[1] == Overrides(runs_on=())
    assert loaded.apply(replace(SENSOR, name="U"))[1] == Overrides(runs_on=("dmz",))


@pytest.mark.parametrize("section", ["st2sensor: {defaults: %s}", "default: {sensors: %s}"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{nice: 20}", ".nice: 20 is greater than the maximum of 19; it must be a"),
        ("{memory: 0}", "it must be a number of bytes, or a number followed by K, M or G"),
        ("{memory: lots}", "it must be a number of bytes, or a number followed by K, M or G"),
        ("{poll_timeout: '5'}", "it must be a number of seconds, 0 for no limit, without quotes"),
        ("{start_timeout: 0}", "it must be a number of seconds above 0, without quotes"),
        ("{log_level: LOUD}", "it must be DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("{runs_on: gpu}", "'gpu' is not of type 'array'; it must be a list of labels, as in [gpu"),
        ("{runs_on: [1]}", "it must be a label, as text"),
        ("5", "it must be a mapping of "),
    ],
)
def test_what_is_wrong_is_told_with_place_and_remedy(tmp_path: Path, section: str, text: str, message: str) -> None:
    write(tmp_path, "p", section % text)
    with pytest.raises(ContentError) as caught:
        overrides.load(tmp_path, "p")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/p.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sensors: {defaults: {enabled: 'no'}}",
            "sensors.defaults.enabled: 'no' is not of type 'boolean'; it must be t",
        ),
        ("rules: {exceptions: {r: {enabled: 1}}}", "rules.exceptions.r.enabled: 1 is not of type 'boolean'"),
        ("sensors: false", "sensors: False is not of type 'object', 'null'; it must be a mapping of defaults and exc"),
        ("exceptions: {sensors: {S: {nice: low}}}", "exceptions.sensors.S.nice: 'low' is not of type 'integer'"),
        ("- 1", "must be a mapping of keys to values"),
        ("{", "malformed YAML"),
    ],
)
def test_what_is_wrong_elsewhere_is_told_too(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "p", text)
    with pytest.raises(ContentError) as caught:
        overrides.load(tmp_path, "p")
    assert message in str(caught.value)


def test_expectations_are_durations_and_unknown_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "st2sensor:\n  defaults: {expect: {event: 6h, poll: 90}}\n"
        "  exceptions: {S: {expect: {poll: 5m, evnt: 1h}}, Any: {expect: {}}}\n"
    )
    loaded = overrides.load(tmp_path, "p")
    found = {name: loaded.apply(replace(SENSOR, name=name))[1].expect for name in ("S", "Any", "Other")}
    assert found == {
        "S": Expectation(poll=300.0),
        "Any": Expectation(),
        "Other": Expectation(event=21600.0, poll=90.0),
    }
    (warning,) = loaded.warnings
    assert "st2sensor.exceptions.S.expect.evnt" in str(warning)
    assert "did you mean event?" in str(warning)


@pytest.mark.parametrize("wrong", ["{event: 6 hours}", "{event: 0}", "{poll: -1m}", "{poll: true}", "6h", "[1]"])
def test_wrong_expectations_are_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "p.yaml").write_text(f"st2sensor: {{defaults: {{expect: {wrong}}}}}\n")
    with pytest.raises(ContentError):
        overrides.load(tmp_path, "p")
