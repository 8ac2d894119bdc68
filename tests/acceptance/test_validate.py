"""`st2sensor validate` on packs with every class of defect, and on those that have none."""

from __future__ import annotations

import json
import logging
import textwrap
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from st2sensor.cli.st2sensor import main
from st2sensor.config import loading
from tests.support.workspace import ROOT, environment, run

SENSOR = """\
from st2reactor.sensor.base import {base}

class S({base}):
    def setup(self): pass
    def cleanup(self): pass
    def add_trigger(self, trigger): pass
    def update_trigger(self, trigger): pass
    def remove_trigger(self, trigger): pass
    def {work}(self):
"""

METADATA = "class_name: S\nentry_point: s.py\ntrigger_types:\n  - name: a\n"

Lines = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command sets the root logger up; here it runs in the process of all tests."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack `p` without mistakes, in the folder in which the command runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ST2_CONF", raising=False)
    monkeypatch.setattr(loading, "DEFAULT_CONFIG_FILE", str(tmp_path / "st2.conf"))
    return write_pack(tmp_path / "p")


def write_pack(folder: Path) -> Path:
    (folder / "sensors").mkdir(parents=True)
    (folder / "pack.yaml").write_text(f"name: {folder.name}\nversion: 1.0.0\n")
    (folder / "sensors" / "s.yaml").write_text(METADATA)
    write_code(folder, f"self.sensor_service.dispatch('{folder.name}.a', {{}})")
    return folder


def write_code(folder: Path, body: str, base: str = "Sensor", work: str = "run") -> None:
    code = SENSOR.format(base=base, work=work) + textwrap.indent(textwrap.dedent(body), " " * 8)
    (folder / "sensors" / "s.py").write_text(code + "\n")


@pytest.fixture
def lines(pack: Path, capsys: pytest.CaptureFixture[str]) -> Lines:
    """Runs the command; what it prints but for the last line, which counts."""

    def run(*arguments: str, code: int = 1) -> list[str]:
        assert main(["validate", *(arguments or (pack.name,))]) == code
        return capsys.readouterr().out.splitlines()[:-1]

    return run


def test_a_pack_without_mistakes_is_said_to_be_one(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--strict", "p"]) == 0
    assert capsys.readouterr().out == "1 pack, 1 sensor: nothing is wrong\n"
    assert not list(pack.rglob("__pycache__"))


def test_the_packs_of_this_repository_have_no_mistakes(lines: Lines) -> None:
    assert lines("--strict", *(str(path) for path in sorted((ROOT / "packs").iterdir())), code=0) == []


def test_without_a_terminal_each_finding_is_a_line_that_editors_can_read(pack: Path) -> None:
    write_code(pack, "self.sensor_service.dispatch('p.b')")
    result = run("st2sensor", "validate", "p", cwd=pack.parent, env=environment())
    assert result.returncode == 1
    assert result.stdout == (
        "p/sensors/s.py:10: error: trigger p.b is dispatched here and declared nowhere: it would become a dead letter; "
        "add it to trigger_types in sensors/s.yaml [undeclared-trigger]\n"
        "p/sensors/s.yaml:4: warning: trigger type p.a is declared here, and no sensor of the pack dispatches it; "
        "remove it, or dispatch it [undispatched-trigger]\n"
        "1 error, 1 warning in 1 pack, 1 sensor\n"
    )


def test_keys_that_stand_twice_are_told_in_every_file(pack: Path, lines: Lines) -> None:
    (pack / "pack.yaml").write_text("name: p\nversion: 1.0.0\nname: p\n")
    (pack / "sensors" / "s.yaml").write_text(METADATA.replace("class_name: S", "class_name: T\nclass_name: S"))
    (pack / "config.schema.yaml").write_text("a: {type: string, type: integer}\n")
    (pack / "p.yaml.example").write_text("a: 1\na: 2\n")
    (pack / "rules").mkdir()
    (pack / "rules" / "r.yaml").write_text("name: r\ntrigger: {type: p.a, type: p.a}\n")
    (pack.parent / "p.yaml").write_text("a: 1\na: 2\n")
    found = lines("p", "--config", "p.yaml", code=0)
    assert [line.partition(",")[0] for line in found] == [
        "p/config.schema.yaml:1: warning: type is already on line 1",
        "p/p.yaml.example:2: warning: a is already on line 1",
        "p/pack.yaml:3: warning: name is already on line 1",
        "p/rules/r.yaml:2: warning: type is already on line 2",
        "p/sensors/s.yaml:2: warning: class_name is already on line 1",
        "p.yaml:2: warning: a is already on line 1",
    ]


def test_an_expression_in_a_default_is_told_to_stay_as_it_is(pack: Path, lines: Lines) -> None:
    schema = "a: {type: string, default: '{{ st2kv.system.a }}'}\nb: {type: string, default: '{{ name }}'}\n"
    (pack / "config.schema.yaml").write_text(schema)
    (found,) = lines("p", code=0)
    assert "the default '{{ st2kv.system.a }}' is not rendered" in found


def test_json_holds_every_finding(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_code(pack, "self.sensor_service.dispatch('p.b')\nself.sensor_service.dispatch('p.a')")
    assert main(["validate", "--json", str(pack)]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found.pop("message").startswith("trigger p.b is dispatched here")
    assert found == {
        "pack": "p",
        "file": "p/sensors/s.py",
        "line": 10,
        "severity": "error",
        "rule": "undeclared-trigger",
    }


def test_a_folder_that_is_no_pack_is_refused(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(pack.parent)]) == 65
    assert "this folder is not a pack: it has no pack.yaml; name the folders of packs" in capsys.readouterr().err


def test_triggers_are_declared_by_any_sensor_by_files_by_other_packs_or_by_the_core(pack: Path, lines: Lines) -> None:
    write_pack(pack.parent / "q")
    (pack / "triggers").mkdir()
    (pack / "triggers" / "t.yaml").write_text("name: t\n")
    names = ("p.a", "p.t", "q.a", "q.gone", "core.st2.generic.inquiry", "core.gone", "elsewhere.a", "bare")
    write_code(pack, "\n".join(f"self.sensor_service.dispatch('{name}')" for name in names))
    found = [line for line in lines("p", "q") if "-trigger]" in line]
    assert [line.split(" is dispatched here")[0] for line in found] == [
        "p/sensors/s.py:13: error: trigger q.gone",
        "p/sensors/s.py:15: error: trigger core.gone",
        "p/sensors/s.py:16: warning: trigger elsewhere.a",
        "p/sensors/s.py:17: error: trigger bare",
    ]
    assert "correct the name, or declare it in pack q" in found[0]
    assert "belongs to pack elsewhere, which is not checked" in found[2]
    assert "as in p.bare" in found[3]


def test_payloads_are_held_against_their_schema_where_they_are_certain(pack: Path, lines: Lines) -> None:
    (pack / "sensors" / "s.yaml").write_text(
        METADATA + "    payload_schema:\n      type: object\n      additionalProperties: false\n"
        "      properties:\n        n: {type: integer, required: true}\n        text: {type: string}\n"
    )
    payloads = ("{'n': 1}", "{'n': f()}", "self.anything", "{'n': 1, 'm': 2}", "{'text': 't'}", "{'n': 'one'}", "{}")
    write_code(pack, "\n".join(f"self.sensor_service.dispatch('p.a', {payload})" for payload in payloads))
    found = lines(code=0)
    assert [line.split(": the payload does not fit the payload_schema of p.a: ")[0] for line in found] == [
        f"p/sensors/s.py:{line}: warning" for line in (13, 14, 15, 16)
    ]
    assert "('m' was unexpected); it would become a dead letter; correct the payload" in found[0]
    assert "'n' is a required property" in found[1]
    assert "n: 'one' is not of type 'integer'" in found[2]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "pack.yaml",
            "ref: No-Ref\n",
            ["p/pack.yaml:1: error: name is missing; add it", "p/pack.yaml:1: error: ref: 'No-Ref' does not match"],
        ),
        (
            "sensors/s.yaml",
            "class_name: 1\nentry_point: s.py\npoll_interval: -1\ntrigger_types: [{}]\n",
            [
                "p/sensors/s.yaml:1: error: class_name: 1 is not of type 'string'",
                "p/sensors/s.yaml:3: error: poll_interval: -1 is less than the minimum of 0",
                "p/sensors/s.yaml:4: error: name is missing; add it: the trigger type's name",
            ],
        ),
        ("sensors/s.yaml", "class_name: [\n", ["p/sensors/s.yaml:2: error: malformed YAML"]),
        (
            "sensors/s.yaml",
            "class_name: S\nentry_point: t.py\n",
            ["p/sensors/s.yaml:2: error: entry_point: there is no"],
        ),
        ("sensors/s.yaml", METADATA.replace("S", "T"), ["p/sensors/s.yaml:1: error: class_name: there is no class T"]),
        ("sensors/s.yaml", METADATA + "polling: 3\n", ["p/sensors/s.yaml:5: warning: polling is not a key of a"]),
        (
            "sensors/s.yaml",
            METADATA + "    payload_schema: {type: text}\n",
            ["p/sensors/s.yaml:5: error: payload_schema of trigger p.a is not a valid JSON schema"],
        ),
        (
            "pack.yaml",
            "name: p\npython_versions: ['2']\n",
            ["p/pack.yaml:2: warning: python_versions: the pack runs on"],
        ),
        ("sensors/t.yaml", METADATA, ["p/sensors/t.yaml:1: error: sensor p.S is already declared in"]),
        (
            "triggers/a.yaml",
            "name: a\npayload_schema: {type: object}\n",
            ["p/sensors/s.yaml:4: error: trigger type p.a has another schema in"],
        ),
        ("triggers/a.yaml", "name: a\npack: q\n", ["p/triggers/a.yaml:2: error: pack: the file is in pack p"]),
        ("rules/r.yaml", "name: r\n", ["p/rules/r.yaml:1: error: trigger is missing; add it"]),
        (
            "rules/r.yaml",
            "name: r\ntrigger:\n  type: p.gone\n",
            ["p/rules/r.yaml:3: warning: there is no trigger type p.gone"],
        ),
        (
            "rules/r.yaml",
            "name: r\ntrigger:\n  type: core.st2.IntervalTimer\n  parameters: {unit: aeons}\n",
            ["p/rules/r.yaml:4: error: parameters do not fit trigger type core.st2.IntervalTimer"],
        ),
        ("rules/r.yaml", "name: r\ntrigger:\n  type: elsewhere.event\n", []),
        ("config.schema.yaml", "n: {type: number}\nm: 1\n", ["p/config.schema.yaml:2: error: m: must be a schema"]),
        (
            "requirements.txt",
            "# what it needs\nclick\npika = 1.2\n-r more.txt\nattrs; python_version < '3'\n",
            [
                "p/requirements.txt:3: error: 'pika = 1.2' is not a requirement",
                "p/requirements.txt:4: error: there is no file more.txt next to it",
            ],
        ),
        (
            "requirements.txt",
            "click>=8 \\\n  # wide\nno-such-thing-at-all\nclick<1\n",
            ["p/requirements.txt:3: warning: this Python, used because there is no virtualenv, lacks no-such-"],
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(
    pack: Path, lines: Lines, file: str, text: str, expected: list[str]
) -> None:
    path = pack / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    has_errors = any(": error:" in line for line in expected)
    found = [line for line in lines(code=int(has_errors)) if "-trigger]" not in line or "rules" in file]
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import no_such_module", "p/sensors/s.py:1: error: cannot be imported: No module named 'no_such_module'"),
        (
            "import urllib2",
            "p/sensors/s.py:1: error: cannot be imported: No module named 'urllib2'; that is a Python 2 module",
        ),
        ("x = 1\n1 / 0", "p/sensors/s.py:2: error: cannot be imported: ZeroDivisionError: division by zero"),
        ("print 'x'", "p/sensors/s.py:1: error: syntax error: Missing parentheses"),
        ("class S:\n    pass", "p/sensors/s.py:1: error: class S does not derive from Sensor or PollingSensor"),
        (
            "import shared",
            "p/sensors/s.py:1: warning: cannot be imported: No module named 'shared'; it is in the pack's",
        ),
    ],
)
def test_code_is_loaded_as_the_wrapper_would(pack: Path, lines: Lines, code: str, expected: str) -> None:
    (pack / "lib").mkdir()
    (pack / "lib" / "shared.py").touch()
    (pack / "sensors" / "s.py").write_text(
        f"{code}\n{'' if 'class' in code else SENSOR.format(base='Sensor', work='run')}"
    )
    with (pack / "sensors" / "s.py").open("a") as file:
        file.write("" if "class" in code else "        self.sensor_service.dispatch('p.a')\n")
    (found,) = lines(code=int(": error:" in expected))
    assert found.startswith(expected)


def test_what_missing_requirements_hide_is_a_doubt_and_the_class_is_read_all_the_same(pack: Path, lines: Lines) -> None:
    (pack / "requirements.txt").write_text("no-such-thing-at-all\n")
    (pack / "sensors" / "s.py").write_text(
        "import no_such_thing\nfrom st2reactor.sensor.base import Sensor\n\n"
        "class S(Sensor):\n    def setup(self): self.sensor_service.dispatch('p.a')\n    def poll(self): pass\n"
    )
    (pack / "sensors" / "s.yaml").write_text(METADATA + "poll_interval: 5\n")
    found = lines()
    assert [line.rpartition("[")[2] for line in found] == [
        "not-installed]",
        "not-checked]",
        "abstract-methods]",
        "unused-method]",
        "poll-interval]",
    ]
    assert found[0].endswith("install them with: python -m pip install -r p/requirements.txt [not-installed]")
    assert found[2].startswith(
        "p/sensors/s.py:4: error: class S lacks add_trigger, cleanup, remove_trigger, run, update_trigger; define every"
    )
    assert found[3].startswith("p/sensors/s.py:6: warning: poll() is never called: S derives from Sensor")
    assert found[4].startswith("p/sensors/s.yaml:5: warning: poll_interval has no effect: S derives from Sensor")


def test_a_package_that_is_not_installed_is_told_once(pack: Path, lines: Lines) -> None:
    (pack / "requirements.txt").write_text("no-such-thing\n")
    dispatch = "        self.sensor_service.dispatch('p.a')\n"
    code = "import no_such_thing.deep\n" + SENSOR.format(base="Sensor", work="run") + dispatch
    (pack / "sensors" / "s.py").write_text(code)
    assert [line.rpartition("[")[2] for line in lines(code=0)] == ["not-installed]"]


def test_a_key_that_the_schema_does_not_mention_is_a_doubt(pack: Path, lines: Lines) -> None:
    (pack / "config.schema.yaml").write_text("token: {type: string}\n")
    (pack / "p.yaml.example").write_text("tokne: x\n")
    Path("mine.yaml").write_text("token: x\ntokn: x\n")
    found = [line for line in lines("--config", "mine.yaml", "p", code=0) if "config-key" in line]
    assert sorted(found) == [
        f"{place}: warning: {key} is not in the pack's config.schema.yaml; did you mean token? [config-key]"
        for place, key in (("mine.yaml:2", "tokn"), ("p/p.yaml.example:1", "tokne"))
    ]


def test_missing_methods_are_told_once(pack: Path, lines: Lines) -> None:
    (pack / "sensors" / "s.py").write_text("from st2reactor.sensor.base import Sensor\n\nclass S(Sensor): pass\n")
    found = [line for line in lines() if "[abstract-methods]" in line]
    assert len(found) == 1
    assert found[0].startswith("p/sensors/s.py:3: error: class S lacks add_trigger, cleanup, ")


SCHEMA = """\
url: {type: string, required: true}
retries: {type: integer}
token: {type: integer, secret: true}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("url: http://x\nretries: 3\ntoken: '{{ st2kv.system.token }}'\n", []),
        ("url: http://x\nretries: '{{ st2kv.system.n }}'\n", []),
        ("retries: many\n", ["1: error: 'url' is a required property", "1: error: retries: 'many' is not of type"]),
        ("url: x\ntoken: hushhush\n", ["2: error: token: ******** is not of type 'integer'"]),
        ("url: '{{ st2kv.system.x | nofilter }}'\n", ["1: error: url: the expression cannot be rendered: Template"]),
        ("- url\n", ["1: error: must be a mapping of configuration keys"]),
    ],
)
def test_a_configuration_is_held_against_the_schema(pack: Path, lines: Lines, text: str, expected: list[str]) -> None:
    (pack / "config.schema.yaml").write_text(SCHEMA)
    Path("mine.yaml").write_text(text)
    found = sorted(lines("--config", "mine.yaml", "p", code=int(bool(expected))))
    starts = [f"mine.yaml:{start}" for start in expected]
    assert [line[: len(start)] for line, start in zip(found, starts, strict=True)] == starts


def test_with_several_packs_a_configuration_is_named_after_its_own(
    pack: Path, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pack(pack.parent / "q")
    (pack / "config.schema.yaml").write_text(SCHEMA)
    Path("p.yaml").write_text("url: 1\n")
    (found,) = lines("--config", "p.yaml", "p", "q")
    assert found.startswith("p.yaml:1: error: url: 1 is not of type 'string'")
    Path("other.yaml").touch()
    assert main(["validate", "--config", "other.yaml", "p", "q"]) == 2
    assert "--config other.yaml: name the file after its pack, once" in capsys.readouterr().err


def test_an_example_may_have_blanks_and_what_is_wrong_with_it_is_a_warning(pack: Path, lines: Lines) -> None:
    (pack / "config.schema.yaml").write_text(SCHEMA)
    (pack / "p.yaml.example").write_text("url:\nretries: many\n")
    (found,) = lines(code=0)
    assert found.startswith("p/p.yaml.example:2: warning: retries: 'many' is not of type 'integer'")
    assert lines("--strict", "p", code=1) == [found]


def test_a_configuration_file_says_where_virtualenvs_and_configurations_are(pack: Path, lines: Lines) -> None:
    Path("st2.conf").write_text("[system]\nbase_path = .\n[database]\nconnection = sqlite:///st2.db\n")
    (pack / "config.schema.yaml").write_text(SCHEMA)
    (pack / "requirements.txt").write_text("click\n")
    Path("configs").mkdir()
    Path("configs/p.yaml").write_text("url: 1\n")
    venv.create("virtualenvs/p", with_pip=False, symlinks=True)
    found = lines()
    assert found[0].startswith("configs/p.yaml:1: error: url: 1 is not of type 'string'")
    assert found[1].startswith("p/requirements.txt:1: warning: the virtualenv ")
    assert " lacks click, so the code may " in found[1]
    (library,) = Path("virtualenvs/p").glob("lib/python3*/site-packages")
    (library / "click-8.1.dist-info").mkdir()
    (library / "click-8.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: click\nVersion: 8.1\n")
    assert lines() == found[:1]


def test_a_missing_virtualenv_is_an_error_where_the_container_would_refuse_the_pack(pack: Path, lines: Lines) -> None:
    (pack / "requirements.txt").write_text("# comment\n")
    (pack / "sensors" / "s.py").write_text("import no_such_thing\n" + SENSOR.format(base="Sensor", work="run"))
    with (pack / "sensors" / "s.py").open("a") as file:
        file.write("        self.sensor_service.dispatch('p.a')\n")
    Path("st2.conf").write_text("[system]\nbase_path = .\n[database]\nconnection = sqlite:///st2.db\n")
    missing = "p/sensors/s.py:1: error: cannot be imported: No module named 'no_such_thing'"
    # Comments require nothing.
    (found,) = lines(code=1)
    assert found.startswith(missing)

    (pack / "requirements.txt").write_text("no-such-thing\n")
    refused, doubt = lines(code=1)
    assert refused == (
        f"p/requirements.txt:1: error: pack p has requirements and no virtualenv at {Path.cwd()}/virtualenvs/p; "
        "make it with: st2ctl reload --register-setup-virtualenvs [no-virtualenv]"
    )
    assert doubt.startswith("p/sensors/s.py:1: warning: cannot be imported: No module named 'no_such_thing'")

    # The container loads the code with whatever the virtualenv holds.
    venv.create("virtualenvs/p", with_pip=False, symlinks=True)
    lacking, found = lines(code=1)
    assert lacking.startswith("p/requirements.txt:1: warning: the virtualenv ")
    assert found.startswith(missing)


def test_two_packs_of_one_name_are_told(pack: Path, lines: Lines) -> None:
    other = write_pack(pack.parent / "q")
    (other / "pack.yaml").write_text("name: q\nref: p\n")
    told = [line for line in lines("p", "q") if "[duplicate]" in line]
    assert any(line.startswith("q/pack.yaml:1: error: pack p is already in ") for line in told)


ODD = """\
from st2reactor.sensor.base import PollingSensor

class S(PollingSensor):
    async def setup(self): pass
    def cleanup(): pass
    def add_trigger(self, t): pass
    def update_trigger(self, trigger, parameters): pass
    async def remove_trigger(self, trigger): pass
    def poll(self):
        yield
    def helper(self, *, more): pass
"""


def test_every_method_whose_call_cannot_work_is_told_with_its_line(pack: Path, lines: Lines) -> None:
    (pack / "sensors" / "s.py").write_text(ODD)
    found = [line for line in lines() if "undispatched" not in line]
    assert [line.partition("; ")[0] for line in found] == [
        "p/sensors/s.py:4: error: setup() of S is an async def: calling it runs none of its code",
        "p/sensors/s.py:5: error: cleanup() of S cannot be called with no arguments: too many positional arguments",
        "p/sensors/s.py:7: error: update_trigger() of S cannot be called with trigger: missing a required argument: "
        "'parameters'",
        "p/sensors/s.py:8: error: remove_trigger() of S is an async def: calling it runs none of its code",
        "p/sensors/s.py:9: error: poll() of S contains yield: calling it runs none of its code",
    ]


@pytest.mark.parametrize(
    "signature",
    [
        "self",
        "self, trigger",
        "self, t",
        "self, t, more=None",
        "self, *args",
        "self, *, trigger",
        "self, **fields",
        "*a",
    ],
)
def test_a_callback_may_take_the_trigger_in_any_way(pack: Path, lines: Lines, signature: str) -> None:
    write_code(pack, "self.sensor_service.dispatch('p.a')")
    file = pack / "sensors" / "s.py"
    file.write_text(file.read_text().replace("add_trigger(self, trigger)", f"add_trigger({signature})"))
    assert lines(code=0) == []


@pytest.mark.parametrize("signature", ["", "*, trigger", "self, a, b", "self, a, *, b", "self, trigger, *, b"])
def test_a_callback_that_no_call_fits_is_an_error(pack: Path, lines: Lines, signature: str) -> None:
    write_code(pack, "self.sensor_service.dispatch('p.a')")
    file = pack / "sensors" / "s.py"
    file.write_text(file.read_text().replace("add_trigger(self, trigger)", f"add_trigger({signature})"))
    (found,) = lines()
    assert found.startswith("p/sensors/s.py:6: error: add_trigger() of S cannot be called with trigger: ")


def test_a_constructor_that_cannot_be_called_is_told_although_the_code_does_not_load(pack: Path, lines: Lines) -> None:
    (pack / "requirements.txt").write_text("no-such-thing-at-all\n")
    write_code(pack, "self.sensor_service.dispatch('p.a')")
    file = pack / "sensors" / "s.py"
    init = "class S(Sensor):\n    def __init__(self, service, conf): super().__init__(service, conf)\n"
    file.write_text("import no_such_thing\n" + file.read_text().replace("class S(Sensor):\n", init))
    found = [line for line in lines() if "[constructor]" in line]
    assert len(found) == 1
    assert found[0].startswith(
        "p/sensors/s.py:5: error: the constructor of S cannot be called with sensor_service, config"
    )
