from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.models import Pack, SensorType
from st2sensor.packs import instances, overrides, storable, yaml_files, yaml_text
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration import source
from st2sensor.packs.discovery import find_packs, metadata_files
from st2sensor.packs.metadata import pack_ref
from st2sensor.packs.yaml_files import File, read, value
from st2sensor.system import private_file


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
        (folder / "pack.yaml").write_text(f"name: n\nref: {'b' if name.endswith('/b') else 'a'}\n")
    packs, errors = find_packs([tmp_path / "one", tmp_path / "two", tmp_path / "missing"])
    assert [str(pack.path.relative_to(tmp_path)) for pack in packs] == ["one/a", "two/b"]
    assert errors == []
    _, errors = find_packs([tmp_path / "two", tmp_path / "two"])
    assert [str(error) for error in errors] == [
        f"{tmp_path}/two/copy_of_a: pack a is already in {tmp_path}/two/a; give one of them another ref in pack.yaml"
    ]


def test_a_pack_that_is_broken_hides_those_of_its_name_all_the_same(tmp_path: Path) -> None:
    for name, text in (("one/a", "name: [\n"), ("one/b", None), ("two/a", "name: a\n"), ("two/b", "name: b\n")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "pack.yaml").write_text(text)
    packs, errors = find_packs([tmp_path / "one", tmp_path / "two"])
    assert [pack.ref for pack in packs] == ["b"]
    assert len(errors) == 2


@pytest.mark.parametrize(
    ("folder", "text", "ref"),
    [
        ("nexus3", "name: Sonatype nexus three", "nexus3"),
        ("nexus3", "name: nexus", "nexus3"),
        ("nexus3", "name: nexus\nref:", "nexus3"),
        ("nexus3", "name: nexus\nref: other", "other"),
        ("st2-nexus", "name: nexus", "nexus"),
        ("Nexus", "name: My Nexus-3", "my_nexus_3"),
        ("st2-nexus", "name: Größe", None),
    ],
)
def test_without_a_ref_a_pack_is_called_as_its_folder_if_that_may_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, text: str, ref: str | None
) -> None:
    path = tmp_path / folder / "pack.yaml"
    path.parent.mkdir()
    path.write_text(text)
    monkeypatch.chdir(path.parent)
    for given in (path, Path("pack.yaml"), Path(f"../{folder}/pack.yaml")):
        if ref is None:
            with pytest.raises(ContentError, match="neither the folder 'st2-nexus' nor the name 'Größe' makes a ref"):
                pack_ref(given)
        else:
            assert pack_ref(given) == ref


def test_only_yaml_is_metadata(tmp_path: Path) -> None:
    (tmp_path / "sensors").mkdir()
    for name in ("a.yaml", "b.yml", "data.json", ".c.yaml", "d.yaml.bak", "e.YAML", "f.py", "yaml"):
        (tmp_path / "sensors" / name).touch()
    found = metadata_files(Pack(ref="p", path=tmp_path), "sensors")
    assert [path.name for path in found] == ["a.yaml", "b.yml"]


def test_aliases_are_bound_by_what_they_stand_for(tmp_path: Path) -> None:
    few = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    assert parsed(tmp_path, few).data["c"] == [[["x", "x"]] * 2] * 2
    bomb = "a0: &a0 lol\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40))
    with pytest.raises(ContentError, match=r"file\.yaml:\d+: malformed YAML: its aliases expand to more than"):
        parsed(tmp_path, bomb)
    with pytest.raises(ValueError, match="its aliases expand to more than"):
        value(bomb)
    merges = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 40)
    )
    with pytest.raises(ContentError, match="its aliases expand to more than"):
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


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 200_000 + "a", "- ? " * 50_000, "- [" * 900])
def test_deep_nesting_is_an_error_and_not_the_end_of_the_process(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(text)
    with pytest.raises(ContentError, match="malformed YAML"):
        yaml_files.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: 2024-01-01\non: [1, 2.5, yes]\n200: {x: ~}\n",
        "a: &x {b: 1}\nc:\n  <<: *x\n  d: |\n    text\n\n  e: 'é'\n",
        "- - a\n  - b: c\n    d: [e, {f: g}]\n",
        "a: 1\na: 2\n",
    ],
)
def test_a_long_line_changes_neither_the_data_nor_the_positions(tmp_path: Path, text: str) -> None:
    short, long = tmp_path / "short.yaml", tmp_path / "long.yaml"
    short.write_text(text)
    long.write_text(f"{text}# {'x' * yaml_text.DEEPEST}\n")
    one, other = yaml_files.read(short), yaml_files.read(long)
    assert one.data == other.data
    places: list[list[str | int]] = [["a"], ["c", "d"], [0, 1, "d", 1], ["200", "x"], [1]]
    for place in places:
        assert one.line(place) == other.line(place)
    lines = [[error.line for error in yaml_files.repeated(file)] for file in (short, long)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("kind", ["a file", "a link to itself", "a pipe"])
def test_what_stands_in_the_place_of_a_folder_is_not_taken_for_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sensors"
    if kind == "a link to itself":
        path.symlink_to(path)
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        path.touch()
    with pytest.raises(ContentError, match="sensors: this is not a folder; replace or remove it"):
        metadata_files(Pack(ref="p", path=tmp_path), "sensors")


def test_a_link_that_leads_nowhere_is_not_taken_for_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "p.yaml", tmp_path / "config.schema.yaml"):
        path.symlink_to(path)
    link = "cannot be read: Too many levels of symbolic links"
    assert link in str(instances.load(tmp_path, "p").problems)
    sensor = SensorType(pack="p", name="A", artifact_uri="file:///a.py", entry_point="a.A")
    for load in (
        lambda: overrides.load(tmp_path, "p"),
        lambda: source.load(tmp_path, "p", tmp_path),
        lambda: config_schema.load(tmp_path),
        lambda: instances.config_in(tmp_path, sensor),
    ):
        with pytest.raises(ContentError, match="Too many levels of symbolic links"):
            load()


def test_an_instances_file_that_became_a_list_is_an_error_when_a_sensor_starts(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("[p.A]")
    sensor = SensorType(pack="p", name="A", artifact_uri="file:///a.py", entry_point="a.A")
    with pytest.raises(ContentError, match="must be a mapping of"):
        instances.config_in(tmp_path, sensor)
