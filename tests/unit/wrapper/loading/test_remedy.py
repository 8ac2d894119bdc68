from __future__ import annotations

import sys
from pathlib import Path

import pytest

from st2sensor.packs.code.virtualenv import failure_note
from st2sensor.wrapper.loading import remedy


@pytest.mark.parametrize(
    ("module", "kind", "expected"),
    [
        ("Queue", "python-2", "that is a Python 2 module; change the code to work with Python 3"),
        ("shared.deep", "common-libs", "it is in the pack's lib/; set [packs] enable_common_libs = True in st2.conf"),
        (
            "acts",
            "actions-lib",
            "it is in the pack's actions/lib/, from which sensors cannot import; move it to lib/ or",
        ),
        ("yaml.gone", "missing-module", "the installed yaml has no such module; require another version of it in"),
        ("json.gone", "missing-module", "Python's own json has no such module; correct the code"),
        ("sys.gone", "missing-module", "Python's own sys has no such module; correct the code"),
        (
            "telnetlib",
            "missing-module",
            "newer versions of Python no longer have it; change the code to work without it",
        ),
        ("own.gone", "missing-module", "the pack's own own has no such module; correct the import, or add the module"),
        (
            "listed_one",
            "missing-module",
            "it is in the pack's requirements.txt but is not installed; reinstall all requirements with: st2ctl reload",
        ),
        (
            "st2common.transport",
            "missing-module",
            "st2sensor has only the parts of StackStorm that sensors need; use",
        ),
        ("st2client.client", "missing-module", "add it to the pack's requirements.txt and run st2ctl reload"),
        (
            "st2actions.runners",
            "missing-module",
            "st2actions is a service of StackStorm, which sensors cannot use; move",
        ),
        (
            "nowhere",
            "missing-module",
            "add it to the pack's requirements.txt and run st2ctl reload --register-setup-virtualenvs",
        ),
    ],
)
def test_the_remedy_for_a_missing_module_is_where_it_could_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, kind: str, expected: str
) -> None:
    (tmp_path / "requirements.txt").write_text("# x\n-r other.txt\n\n Listed.One>=1 ; python_version > '3'\n")
    for path in ("sensors", "lib/shared", "actions/lib"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "actions" / "lib" / "acts.py").touch()
    (tmp_path / "sensors" / "own").mkdir()
    (tmp_path / "sensors" / "own" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "sensors"))
    found, what_to_do = remedy.of_missing_module(module, str(tmp_path / "sensors" / "s.py"))
    assert found == kind
    assert what_to_do.startswith(expected)


def test_a_module_in_a_lib_that_is_on_the_path_needs_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("sensors", "lib/shared"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "lib" / "shared" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    found, what_to_do = remedy.of_missing_module("shared.deep", str(tmp_path / "sensors" / "s.py"))
    assert (found, what_to_do) == (
        "missing-module",
        "the pack's own shared has no such module; correct the import, or add the module",
    )


@pytest.mark.parametrize(
    ("required", "lacking"),
    [
        ("PyNowhere==6.0\nIs_Here>=1\nis-linked\n", "pynowhere"),
        ("a\nb[x] >= 2  # why\nc @ https://x/c.whl\n", "a, b, c"),
        ("-e git+https://x/y.git#egg=from_git&subdirectory=z\n", "from-git"),
        ("is-here\ngit+https://x/y.git\nold; python_version < '3'\n-r other.txt\n", ""),
    ],
)
def test_a_required_package_that_is_not_installed_need_not_be_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: str, lacking: str
) -> None:
    (tmp_path / "requirements.txt").write_text(required)
    for name in ("sensors", "Is.Here-1.0.dist-info", "is_linked.egg-info"):
        (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    _, what_to_do = remedy.of_missing_module("nowhere", str(tmp_path / "sensors" / "s.py"))
    if lacking:
        assert what_to_do == (
            f"it may be in a package of the pack's requirements.txt that is not installed: {lacking}; "
            "reinstall all requirements with: st2ctl reload --register-recreate-virtualenvs"
        )
    else:
        assert what_to_do.startswith("add it to the pack's requirements.txt")


def test_what_could_not_be_installed_is_not_to_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sensors").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "virtualenvs" / "p"))
    note = failure_note(tmp_path / "virtualenvs", "p")
    note.parent.mkdir()
    note.write_text('{"message": "ERROR: no index; correct the requirements"}')
    _, what_to_do = remedy.of_missing_module("nowhere", str(tmp_path / "sensors" / "s.py"))
    assert what_to_do == ("the pack's requirements could not be installed: ERROR: no index; correct the requirements")


def test_the_remedy_for_bad_syntax_is_the_code_or_another_library(tmp_path: Path) -> None:
    sensor = str(tmp_path / "p" / "sensors" / "s.py")
    assert remedy.of_syntax(sensor, sensor) == "correct the code"
    assert remedy.of_syntax(str(tmp_path / "p" / "lib" / "x.py"), sensor) == "correct the code"
    assert remedy.of_syntax("/venv/lib/kafka.py", sensor).startswith(
        "that library does not support this version of Python"
    )


def test_a_stackstorm_that_is_installed_itself_may_be_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "st2common").mkdir()
    (tmp_path / "st2common" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    _, what_to_do = remedy.of_missing_module("st2common.gone", "/p/sensors/s.py")
    assert what_to_do.startswith("the installed st2common has no such module; require another version")
