from __future__ import annotations

from pathlib import Path

import pytest

from tests.real_packs import own_tests, packs, report
from tests.real_packs.own_tests import counts
from tests.real_packs.trial import SensorRow


def test_packs_are_read_with_their_sensors_and_the_tests_of_those(tmp_path: Path) -> None:
    pack = tmp_path / "stackstorm-disk"
    for folder in ("sensors", "tests/deep"):
        (pack / folder).mkdir(parents=True)
    (pack / "pack.yaml").write_text("name: disk\n")
    (pack / "sensors" / "s.yaml").write_text("class_name: S\nentry_point: s.py\ntrigger_types: [{name: full}]\n")
    (pack / "tests" / "deep" / "test_s.py").write_text("class T(BaseSensorTestCase): pass\n")
    (pack / "tests" / "test_action.py").write_text("class T(TestCase): pass\n")
    (tmp_path / "no_pack").mkdir()
    (found,) = packs.find(tmp_path, [])
    assert (found.name, found.ref) == ("stackstorm-disk", "disk")
    assert [(sensor.class_name, sensor.trigger_types) for sensor in found.sensors] == [("S", ("disk.full",))]
    assert [path.name for path in found.tests] == ["test_s.py"]
    pack.rename(tmp_path / "disk_tools")
    assert packs.find(tmp_path, [])[0].ref == "disk_tools"
    with pytest.raises(LookupError, match=r"there is no such pack in .*: other"):
        packs.find(tmp_path, ["other"])


def test_a_process_that_died_ran_no_tests() -> None:
    assert counts("said something\n[3, 1]\n") == (3, 1)
    assert counts("Traceback") == counts("") == (0, 0)


def test_a_row_is_one_line_of_a_markdown_table() -> None:
    row = SensorRow(pack="disk", file="sensors/s.yaml", triggers={"disk.full": 2, "disk.error": 1})
    assert report.sensor(row) == "| disk | sensors/s.yaml | loads | disk.error x 1, disk.full x 2 |  |"
    row = SensorRow(pack="disk", file="sensors/s.yaml", error="a\n  b", note="c | d")
    assert report.sensor(row) == "| disk | sensors/s.yaml | NO: a b |  | c \\| d |"
    tests = own_tests.TestRow(pack="disk", file="tests/test_s.py", passed=1, run=2, note="KeyError: 'x'")
    assert report.tests(tests) == "| disk | tests/test_s.py | 1 of 2 tests passed |  | KeyError: 'x' |"
