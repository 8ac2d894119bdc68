from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from st2sensor import private_file
from st2sensor.errors import ContentError
from st2sensor.packs import storable
from st2sensor.packs.discovery import find_packs
from st2sensor.packs.files import File, read, value


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


def test_aliases_are_bound_by_what_they_stand_for(tmp_path: Path) -> None:
    few = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    assert parsed(tmp_path, few).data["c"] == [[["x", "x"]] * 2] * 2
    bomb = "a0: &a0 lol\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40))
    with pytest.raises(ContentError, match=r"file\.yaml:\d+: malformed YAML: its aliases stand for more than"):
        parsed(tmp_path, bomb)
    with pytest.raises(ValueError, match="its aliases stand for more than"):
        value(bomb)
    merges = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 40)
    )
    with pytest.raises(ContentError, match="its aliases stand for more than"):
        parsed(tmp_path, merges)


def test_a_folder_that_cannot_be_listed_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one/a", "two/b"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "pack.yaml").write_text(f"name: {folder.name}\n")
    listing = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path.name == "one":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    packs, errors = find_packs([tmp_path / "one", tmp_path / "two"])
    assert [pack.ref for pack in packs] == ["b"]
    assert "cannot be read" in str(errors)


@pytest.mark.parametrize(
    ("data", "place", "problem"),
    [
        ({"a": [1, 2**63]}, "a.1", "more than 8 bytes"),
        ({"a": -(2**63) - 1}, "a", "more than 8 bytes"),
        ({"a": {"b": "x\ud83d"}}, "a.b", "half of a surrogate pair"),
        ({"a": {"\udcff": 1}}, "a", "half of a surrogate pair"),
        ({"a": {"b\0": 1}}, "a", "NUL"),
    ],
)
def test_what_no_database_stores_has_its_place(data: object, place: str, problem: str) -> None:
    (error,) = storable.problems(File(shown="f.yaml", data=data, _root=None))
    assert str(error).startswith(f"f.yaml: {place}: ")
    assert problem in str(error)


def test_what_databases_store_is_taken() -> None:
    data = {"a.b": {"$ref": -(2**63), "": [2**63 - 1, "x\0", "\U0001f600", None, True, 1e300]}}
    assert list(storable.problems(File(shown="f.yaml", data=data, _root=None))) == []


def test_names_of_files_that_are_no_utf8_can_be_printed_and_stored() -> None:
    error = ContentError("no \udce9 here \ud83d", file="caf\udce9.py")
    assert str(error).encode().startswith(b"caf\\xe9.py: no ")


def test_a_private_file_is_never_the_worlds(tmp_path: Path) -> None:
    path = tmp_path / "new" / "st2.db"
    private_file.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("kept")
    path.chmod(0o664)
    path.with_name("st2.db-wal").touch(0o644)
    private_file.create(path)
    assert path.stat().st_mode & 0o777 == 0o660
    assert path.with_name("st2.db-wal").stat().st_mode & 0o007 == 0
    assert path.read_text() == "kept"
