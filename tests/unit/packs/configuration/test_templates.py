"""Expressions: plain references have Jinja's result, and everything else has limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from st2sensor.errors import WorkFailed
from st2sensor.models import SYSTEM_SCOPE, USER_SCOPE, KeyValue
from st2sensor.packs.configuration import templates
from st2sensor.packs.configuration.references import parts_of
from st2sensor.packs.configuration.rendering import rendered
from st2sensor.packs.configuration.templates import FUNCTIONS, MissingKey, NotRendered, Templates
from st2sensor.workers.limits import Limits
from st2sensor.workers.pool import Pool
from tests.plugins.examples import examples
from tests.plugins.patience import SOON


class NoWorkers(Pool):
    """A pool that calls functions in this process. With `fails`, it raises WorkFailed instead."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(FUNCTIONS)
        self.calls = 0
        self._fails = fails

    def run(self, name: str, arguments: Sequence[Any] | bytes, timeout: float) -> Any:  # noqa: ARG002
        if self._fails:
            raise WorkFailed("no worker process is there")
        self.calls += 1
        return rendered(*arguments)


ENTRIES = {
    (SYSTEM_SCOPE, "host"): "h",
    (SYSTEM_SCOPE, "a.b"): "{{ st2kv.system.host }}",
    (SYSTEM_SCOPE, "if"): " <&> \n",
    (SYSTEM_SCOPE, "stored_name"): "a key like others",
    (SYSTEM_SCOPE, "a b/c:d-e"): "quoted",
    (USER_SCOPE, "stanley:host"): "mine",
    (USER_SCOPE, "stanley:empty"): "",
}


def templates_of(workers: Pool, entries: Mapping[tuple[str, str], str] = ENTRIES) -> Templates:
    def look_up(scope: str, name: str) -> KeyValue | None:
        if (scope, name) not in entries:
            return None
        return KeyValue(name=name, scope=scope, value=entries[scope, name], secret=name == "host")

    return Templates(look_up, lambda name, ciphertext: f"<{name}: {ciphertext}>", "stanley", workers)


SPACE = st.sampled_from(["", " ", "  ", "\t", "\n"])
PARTS = [
    ".host",
    ".a.b",
    ".a['b']",
    "['a.b']",
    '["a.b"]',
    ".if",
    ".stored_name",
    "['a b/c:d-e']",
    ".empty",
    ".none",
    ".not",
]
REFERENCE = st.builds(
    "{{{{{}{}{}{}{}{}}}}}".format,
    SPACE,
    st.sampled_from(["st2kv.", ""]),
    st.builds("{}{}".format, st.sampled_from(["system", "user"]), st.sampled_from(PARTS)),
    SPACE,
    st.sampled_from(["", "|decrypt_kv", "| decrypt_kv", "|\n\tdecrypt_kv "]),
    SPACE,
)
LITERAL = st.text(st.sampled_from("ab{}%#\n\t 'é\"|-\\"), max_size=6)


def outcome(made: Templates, text: str) -> object:
    try:
        return made.render(text)
    except MissingKey as missing:
        return str(missing)
    except NotRendered as problem:
        return str(problem)


@settings(max_examples=examples(1000), deadline=None)
@given(st.lists(st.one_of(LITERAL, REFERENCE), max_size=6).map("".join))
def test_plain_references_are_what_jinja_makes_of_them(text: str) -> None:
    if parts_of(text) is None:
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(templates, "parts_of", lambda _: None)
        expected = outcome(templates_of(NoWorkers()), text)
    assert outcome(templates_of(NoWorkers(fails=True)), text) == expected


@given(REFERENCE)
@settings(max_examples=examples(300), deadline=None)
def test_each_plain_reference_needs_no_worker_process(reference: str) -> None:
    assert parts_of(f"a {reference} b") is not None


@pytest.mark.parametrize(
    "text",
    [
        "{{ st2kv.system.host | upper }}",
        "{{- st2kv.system.host }}",
        "{{ st2kv.system._host }}",
        "{{ st2kv.system }}",
        "{{ st2kv.system.1 }}",
        "{{ st2kv.system.host }}{% if 1 %}{% endif %}",
        "{{ st2kv.system.host }}{# comment #}",
        "{{ st2kv.system.host }}\r\n",
        "{{ st2kv.system.host",
        "{{ other }}",
        "{{ 'st2kv.system.host' }}",
    ],
)
def test_everything_else_is_left_to_jinja(text: str) -> None:
    assert parts_of(text) is None


def test_a_worker_process_is_given_what_it_asks_for_and_nothing_else() -> None:
    asked: list[tuple[str, str]] = []

    def look_up(scope: str, name: str) -> KeyValue:
        asked.append((scope, name))
        return KeyValue(name=name, scope=scope, value=f"{name}!", secret=True)

    made = Templates(look_up, lambda _, ciphertext: ciphertext.upper(), "stanley", NoWorkers())
    found = made.render("{{ st2kv.system.a | upper if st2kv.user.b | decrypt_kv == 'STANLEY:B!' else st2kv.system.c }}")
    assert found.text == "A!"
    assert found.is_secret
    assert found.decrypted == {"STANLEY:B!"}
    assert asked == [(USER_SCOPE, "stanley:b"), (SYSTEM_SCOPE, "a")]


@pytest.fixture(scope="module")
def workers() -> Iterator[Pool]:
    with closing(Pool(FUNCTIONS)) as pool:
        yield pool


LARGE = "{{ 'x' | center(1000000000) }}"
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LARGE, "512,000,000 bytes of memory"),
        ("{{ '%1000000000d' | format(1) }}", "512,000,000 bytes of memory"),
        ("{{ '{:>1000000000}'.format(1) }}", "512,000,000 bytes of memory"),
        ("{{ ('x' | center(100000)).replace(' ', 'x' | center(100000)) }}", "bytes of"),
        ("{{ 'x' | center(5000000) }}", "4,000,000 bytes of result"),
        (ENDLESS, r"the expressions take more than 0.5 s"),
    ],
)
def test_what_an_expression_takes_is_limited(
    workers: Pool, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    if text is ENDLESS:
        monkeypatch.setattr(templates, "RENDERING_TIMEOUT", 0.5)
    made = templates_of(workers)
    with pytest.raises(NotRendered, match=reason) as raised:
        made.render(text)
    assert "xxx" not in str(raised.value)
    assert made.afresh().render("{{ 1 + 1 }}").text == "2"


def test_the_expressions_of_one_configuration_share_their_limits(
    workers: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "MAX_RENDERED", 10)
    made = templates_of(workers, {(SYSTEM_SCOPE, "a"): "1234"})
    for _ in range(2):
        made.render("{{ st2kv.system.a }}")
    for text in ("{{ st2kv.system.a }}", "{{ st2kv.system.a | upper }}"):
        with pytest.raises(NotRendered, match="more than 10 characters"):
            made.render(text)


def test_time_is_counted_over_all_expressions_of_one_configuration() -> None:
    given_to: list[float] = []

    class Slow(NoWorkers):
        def run(self, name: str, arguments: Sequence[Any] | bytes, timeout: float) -> Any:
            given_to.append(timeout)
            return super().run(name, arguments, timeout) | {"seconds": 2.0}

    made = templates_of(Slow())
    for _ in range(4):
        made.render("{{ 1 }}")
    assert given_to == [5.0, 3.0, 1.0, 0.0]
    made.afresh().render("{{ 1 }}")
    assert given_to[-1] == 5.0


def test_without_worker_processes_plain_references_are_resolved_and_the_rest_says_why() -> None:
    made = templates_of(NoWorkers(fails=True))
    assert made.render("x{{ st2kv.system.a.b }}").text == "x{{ st2kv.system.host }}"
    with pytest.raises(NotRendered, match="no worker process is there"):
        made.render("{{ 1 }}")


def test_a_small_limit_of_memory_is_one_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # A slow machine must not meet the other limit first.
    monkeypatch.setattr(templates, "RENDERING_TIMEOUT", SOON)
    with closing(Pool(FUNCTIONS, limits=Limits(memory=200_000_000))) as pool:
        made = templates_of(pool)
        with pytest.raises(NotRendered, match="200,000,000 bytes of memory"):
            made.render("{{ 'x' | center(150000000) }}")
