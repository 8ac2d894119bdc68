from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.packs.discovery import find_packs
from st2sensor.packs.files import File, read


def parsed(tmp_path: Path, text: str, name: str = "file.yaml") -> File:
    path = tmp_path / name
    path.write_text(text)
    return read(path)


def test_lines_are_those_of_keys_and_items(tmp_path: Path) -> None:
    file = parsed(tmp_path, "a: 1\nb:\n  - c: 1\n    d: 2\n  - e: 3\n")
    assert file.line([]) == 1
    assert file.line(["b"]) == 2
    assert file.line(["b", 0, "d"]) == 4
    assert file.line(["b", 1]) == 5
    assert file.line(["b", 0, "missing"]) == 3


def test_timestamps_and_odd_keys_stay_text(tmp_path: Path) -> None:
    file = parsed(tmp_path, "when: 2014-07-30 05:04:24\non: 1\n200: ok\nyes: true\n")
    assert file.data == {"when": "2014-07-30 05:04:24", "on": 1, "200": "ok", "yes": True}


def test_merges_and_anchors_work(tmp_path: Path) -> None:
    assert parsed(tmp_path, "a: &a {x: 1}\nb: {<<: *a, y: 2}\n").data["b"] == {"x": 1, "y": 2}


def test_json_may_be_indented_with_tabs(tmp_path: Path) -> None:
    file = parsed(tmp_path, '{\n\t"a": [1, 2]\n}', "file.json")
    assert file.data == {"a": [1, 2]}
    assert parsed(tmp_path, '{\n "a": 1}', "file.json").line(["a"]) == 2


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "!!python/object:os.system {}", "{[1]: 2}", "a: 1\n---\nb: 2\n"])
def test_what_is_no_plain_yaml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ContentError, match=r"file\.yaml:\d+: malformed YAML: .*; correct the file"):
        parsed(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(ContentError, match="cannot be read"):
        read(path)


def test_a_pack_in_an_earlier_folder_hides_later_ones_but_not_in_the_same(tmp_path: Path) -> None:
    for name in ("one/a", "two/a", "two/copy_of_a", "two/b"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "pack.yaml").write_text(f"name: {'b' if name.endswith('/b') else 'a'}\n")
    packs, errors = find_packs([tmp_path / "one", tmp_path / "two", tmp_path / "missing"])
    assert [str(pack.path.relative_to(tmp_path)) for pack in packs] == ["one/a", "two/b"]
    assert errors == []
    _, errors = find_packs([tmp_path / "two"])
    assert [str(error) for error in errors] == [
        f"{tmp_path}/two/copy_of_a: pack a is already in {tmp_path}/two/a; give one of them another ref in pack.yaml"
    ]
