from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from st2sensor.packs.validation import program
from st2sensor.packs.validation.classes import class_of
from st2sensor.packs.validation.dispatches import Dispatch, dispatches, is_all

HEAD = "from st2reactor.sensor.base import PollingSensor, Sensor\n"


def write(folder: Path, text: str, name: str = "s.py") -> Path:
    path = folder / name
    path.write_text(HEAD + textwrap.dedent(text))
    return path


def read(folder: Path, text: str) -> list[Dispatch]:
    return dispatches(program.read([write(folder, text)]))


@pytest.mark.parametrize(
    "call",
    [
        "self.sensor_service.dispatch('p.a')",
        "self._sensor_service.dispatch(trigger='p.a', payload={})",
        "self.sensor_service.dispatch_with_context({}, trigger='p.a')",
        "sensor_service.dispatch('p.a', payload)",
        "self.outer.service.dispatch('p.a')",
        "self.sensor_service.dispatch(NAME)",
        "self.sensor_service.dispatch(self.NAME_OF_CLASS)",
        "self.sensor_service.dispatch(S.NAME_OF_CLASS)",
        "self.sensor_service.dispatch(self._once)",
        "self.sensor_service.dispatch(self._joined)",
        "self.sensor_service.dispatch('.'.join(['p', 'a']))",
        "self.sensor_service.dispatch('.'.join((PACK, 'a')))",
        "self.sensor_service.dispatch(f'{PACK}.a')",
        "self.sensor_service.dispatch('%s.%s' % (PACK, 'a'))",
        "self.sensor_service.dispatch('%s.a' % PACK)",
        "self.sensor_service.dispatch('{}.a'.format(PACK))",
        "self.sensor_service.dispatch(PACK + '.a')",
        "self.sensor_service.dispatch({'name': 'a', 'pack': PACK})",
        "self.sensor_service.dispatch({'type': 'p.a', 'name': 'x', 'pack': 'y', 'parameters': {}})",
        "self.sensor_service.dispatch({'ref': 'p.a'})",
        "self.sensor_service.dispatch_and_set([('p.a', {})], 'cursor', 1)",
        "self.sensor_service.dispatch_many([('p.a', {}) for n in found])",
        "self.sensor_service.dispatch_and_set(triggers=[(NAME, {'n': n}) for n in found], name='cursor', value=1)",
        "local = 'p.a'; self.sensor_service.dispatch(local)",
        "service = self.sensor_service; service.dispatch('p.a')",
        "s = self.sensor_service; s.dispatch('p.a')",
        "[self.sensor_service.dispatch('p.a') for n in range(2)]",
    ],
)
def test_a_trigger_is_resolved(tmp_path: Path, call: str) -> None:
    text = f"""
    PACK = "p"
    NAME = PACK + ".a"

    class S(Sensor):
        NAME_OF_CLASS = "p.a"

        def __init__(self, sensor_service, config=None):
            super().__init__(sensor_service, config)
            self._once = "p.a"
            self._pack = PACK
            self._joined = ".".join([self._pack, "a"])

        def run(self):
            {call}
    """
    (found,) = read(tmp_path, text)
    assert found.triggers is not None
    assert set(found.triggers) == {"p.a"}
    assert (found.file, found.line) == (tmp_path / "s.py", 16)


@pytest.mark.parametrize(
    "call",
    [
        "self.sensor_service.dispatch(trigger)",
        "self.sensor_service.dispatch(self.changed)",
        "self.sensor_service.dispatch(self.overridden)",
        "self.sensor_service.dispatch(self.of_parameter)",
        "self.sensor_service.dispatch(self.nowhere)",
        "self.sensor_service.dispatch(TWICE)",
        "self.sensor_service.dispatch(GLOBAL)",
        "self.sensor_service.dispatch(sep)",
        "self.sensor_service.dispatch('p.' + self.kind())",
        "self.sensor_service.dispatch(f'p.{trigger}')",
        "self.sensor_service.dispatch('%d.a' % 'p')",
        "self.sensor_service.dispatch(*arguments)",
        "self.sensor_service.dispatch(**arguments)",
        "self.sensor_service.dispatch({'name': 'a', **trigger})",
        "self.sensor_service.dispatch({'name': 'a'})",
        "self.sensor_service.dispatch_and_set(events, 'cursor', 1)",
        "self.sensor_service.dispatch_and_set([event], 'cursor', 1)",
        "for name in ('p.a', 'p.b'): self.sensor_service.dispatch(name)",
        "[self.sensor_service.dispatch(NAME) for NAME in found]",
        "name = 'p.a'; name += '.b'; self.sensor_service.dispatch(name)",
        "with found as name: self.sensor_service.dispatch(name)",
        "RECURSIVE = 'a' + RECURSIVE; self.sensor_service.dispatch(RECURSIVE)",
    ],
)
def test_what_is_not_certain_is_passed_over(tmp_path: Path, call: str) -> None:
    text = f"""
    from os.path import sep
    NAME = "p.a"
    TWICE = "p.a"
    TWICE = "p.b"
    GLOBAL = "p.a"

    class S(Sensor):
        overridden = "p.a"

        def __init__(self, sensor_service, config=None, name="p.a"):
            self.changed = "p.a"
            self.of_parameter = name

        def run(self):
            {call}

        def add_trigger(self, trigger):
            global GLOBAL
            GLOBAL = trigger["ref"]
            self.changed = trigger["ref"]

    class T(S):
        overridden = "p.b"
    """
    (found,) = read(tmp_path, text)
    assert found.triggers is None


@pytest.mark.parametrize(
    "call",
    [
        "self.events.dispatch('p.a')",
        "self.mail_service.dispatch('p.a')",
        "dispatch('p.a')",
        "self.sensor_service.get_value('p.a')",
        "bus.dispatch(x)",
    ],
)
def test_other_calls_are_no_dispatches(tmp_path: Path, call: str) -> None:
    assert read(tmp_path, f"class S(Sensor):\n    def run(self):\n        {call}\n") == []


def test_alternatives_are_all_named_but_for_what_is_empty(tmp_path: Path) -> None:
    text = """
    class S(Sensor):
        def run(self):
            name = None
            if self.config:
                name = "p.a"
            else:
                name = "p.b"
            self.sensor_service.dispatch(name)
            self.sensor_service.dispatch("p.c" if self.config else "p.d")
    """
    assert [set(found.triggers or ()) for found in read(tmp_path, text)] == [{"p.a", "p.b"}, {"p.c", "p.d"}]


def test_a_method_that_passes_a_trigger_on_dispatches_where_it_is_called(tmp_path: Path) -> None:
    text = """
    class S(Sensor):
        def run(self):
            self._emit("p.a", {})
            self._emit(payload={}, trigger="p.b")
            self._emit(self.config["trigger"], {})

        def _emit(self, trigger, payload):
            self.sensor_service.dispatch(trigger, payload)
    """
    found = read(tmp_path, text)
    assert [(item.line, item.triggers) for item in found] == [(5, ("p.a",)), (6, ("p.b",)), (7, None)]


@pytest.mark.parametrize(
    ("code", "known", "keys"),
    [
        ("dispatch('p.a', {'n': 1, 'm': f()})", {"n": 1}, {"n", "m"}),
        ("dispatch('p.a', payload={KEY: 'x'})", {"key": "x"}, {"key"}),
        ("dispatch('p.a', {'b': b'x', 't': (1, 2)})", {}, {"b", "t"}),
        ("dispatch('p.a')", {}, set()),
        ("dispatch('p.a', None)", {}, set()),
        ("dispatch_and_set([('p.a', {'n': 1})], 'c', 1)", {"n": 1}, {"n"}),
        ("dispatch('p.a', unchanged)", {"n": 1}, {"n"}),
        ("dispatch('p.a', {**other})", None, None),
        ("dispatch('p.a', {name(): 1})", None, None),
        ("dispatch('p.a', changed)", None, None),
        ("dispatch('p.a', passed)", None, None),
        ("dispatch('p.a', dict(n=1))", None, None),
        ("dispatch('p.a', *rest)", None, None),
    ],
)
def test_a_payload_is_read_where_it_is_a_dict_that_nothing_changes(
    tmp_path: Path, code: str, known: dict[str, object] | None, keys: set[str] | None
) -> None:
    text = f"""
    KEY = "key"
    class S(Sensor):
        def run(self):
            unchanged = {{"n": 1}}
            self.log.debug("%s", unchanged)
            changed = {{"n": 1}}
            changed["m"] = 2
            passed = {{"n": 1}}
            fill(passed)
            self.sensor_service.{code}
    """
    (found,) = read(tmp_path, text)
    if known is None:
        assert found.payload is None
    else:
        assert found.payload is not None
        assert (dict(found.payload.known), set(found.payload.keys)) == (known, keys)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("self.sensor_service.dispatch('p.a')", True),
        ("service = self.sensor_service", True),
        ("Helper(self.sensor_service)", False),
        ("Helper(service=self.sensor_service)", False),
        ("emit = self.sensor_service.dispatch", False),
        ("return self._sensor_service", False),
    ],
)
def test_a_service_that_is_passed_on_may_dispatch_more(tmp_path: Path, code: str, expected: bool) -> None:
    text = f"""
    class S(Sensor):
        def __init__(self, sensor_service, config=None):
            super().__init__(sensor_service=sensor_service, config=config)

        def run(self):
            {code}
    """
    assert is_all(program.read([write(tmp_path, text)])) is expected


def test_code_that_cannot_be_parsed_is_passed_over(tmp_path: Path) -> None:
    read_ = program.read([write(tmp_path, "def"), tmp_path / "missing.py"])
    assert (read_.modules, read_.is_whole, is_all(read_)) == ((), False, False)
    assert class_of(read_, "S") is None


@pytest.mark.parametrize(
    ("text", "kind", "missing"),
    [
        ("class S(Sensor):\n    def setup(self): pass\n    cleanup = add_trigger = setup", "Sensor", "run"),
        ("class S(PollingSensor):\n    pass", "PollingSensor", "poll"),
        ("class B(PollingSensor):\n    def poll(self): pass\nclass S(B): pass", "PollingSensor", "setup"),
        ("class S(Sensor):\n    if True:\n        async def run(self): pass", "Sensor", "setup"),
        ("class S(Sensor, Mixin): pass", None, ""),
        ("class S(Unknown): pass", None, ""),
        ("class S(S): pass", None, ""),
        ("@registered\nclass S(Sensor): pass", None, ""),
        ("class Sensor: pass\nclass S(Sensor): pass", None, ""),
        ("class T(Sensor): pass", None, ""),
    ],
)
def test_a_class_is_known_when_all_its_bases_are(tmp_path: Path, text: str, kind: str | None, missing: str) -> None:
    found = class_of(program.read([write(tmp_path, text)]), "S")
    if kind is None:
        assert found is None
    else:
        assert found is not None
        assert found.kind == kind
        assert missing in found.missing
        assert not {"run", "poll"} & (set(found.missing) & found.methods.keys())


def test_a_base_in_another_module_of_the_pack_counts(tmp_path: Path) -> None:
    base = write(tmp_path, "class Base(Sensor):\n    def run(self): pass\n    def setup(self): pass", "base.py")
    sensor = tmp_path / "s.py"
    sensor.write_text("from base import Base\nclass S(Base):\n    def cleanup(self): pass\n")
    found = class_of(program.read([sensor, base]), "S")
    assert found is not None
    assert (found.file, found.line, found.kind) == (sensor, 2, "Sensor")
    assert found.missing == ["add_trigger", "remove_trigger", "update_trigger"]
