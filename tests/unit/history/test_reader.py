"""Reading the history: by id, by trace tag, by filters, and page by page with a cursor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.errors import BadCursor, EventNotFound, HistoryCut, HistoryError
from st2sensor.history import reader
from st2sensor.history.event import Recorded, State
from st2sensor.history.filters import Filters, condition
from st2sensor.history.reader import History
from st2sensor.settings import History as Options
from tests.unit.history.test_writer import of, outcome, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with closing(History(path)) as opened:
        yield opened


def test_an_event_is_found_by_the_beginning_of_its_id(path: Path, history: History) -> None:
    write(path, [of(outcome(1), message_id="abcd" + "0" * 28), of(outcome(2), message_id="abce" + "0" * 28)])
    assert history.get("abce").created == 2.0
    for unknown in ("ab", "abc", "ffff", "nothing"):
        with pytest.raises(EventNotFound):
            history.get(unknown)


def test_an_ambiguous_beginning_is_refused(path: Path, history: History) -> None:
    write(path, [of(outcome(1), message_id="abcd0" + "0" * 27), of(outcome(2), message_id="abcd1" + "0" * 27)])
    with pytest.raises(EventNotFound, match="give more of the id"):
        history.get("abcd")


def test_filters_choose_events(path: Path, history: History) -> None:
    write(
        path,
        [
            outcome(1),
            of(outcome(2), sensor="linux.Other"),
            of(outcome(3), trigger_type="linux.second", trigger="linux.some-uuid"),
            outcome(4, state=State.UNROUTED),
            outcome(5, state=State.DEAD, reason="it does not fit"),
        ],
    )

    def found(**fields: object) -> list[float]:
        filters = Filters(**fields)  # type: ignore[arg-type]
        in_order = [event.created for event in history.select(filters)]
        assert [event.created for event in history.newest(filters, 10)] == in_order
        return in_order

    assert found() == [1, 2, 3, 4, 5]
    assert found(sensor="linux.Other") == [2]
    assert found(sensor="linux.Unknown") == []
    assert found(triggers=frozenset({"linux.second"})) == [3]
    assert found(triggers=frozenset({"linux.some-uuid", "linux.file"})) == [1, 2, 3, 4, 5]
    assert found(since=2.0, until=4.0) == [2, 3]
    assert found(states=frozenset({State.DEAD, State.UNROUTED})) == [4, 5]
    assert found(trace_tag="tag-1", until=3.0) == [1, 2]
    assert found(message_id=f"{4:032x}") == [4]
    assert found(conditions=(condition("payload.line=one"),), since=4.0) == [4, 5]
    assert found(conditions=(condition("payload.line=two"),)) == []


def test_the_newest_events_are_those_dispatched_last(path: Path, history: History) -> None:
    write(path, [outcome(9), outcome(1), outcome(5)])
    assert [event.created for event in history.newest(Filters(), 2)] == [5, 9]


def test_a_long_history_is_read_in_pages(path: Path, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAGE", 3)
    write(path, [outcome(number) for number in range(20)])
    assert [event.created for event in history.select(Filters())] == list(range(20))
    assert [event.created for event in history.newest(Filters(), 7)] == list(range(13, 20))


def test_a_cursor_continues_where_the_last_page_ended(path: Path, history: History) -> None:
    write(path, [outcome(number) for number in range(5)])
    first = history.page(None, limit=2)
    assert ([event.created for event in first.events], first.has_more) == ([0, 1], True)
    second = history.page(first.cursor, limit=3)
    assert ([event.created for event in second.events], second.has_more) == ([2, 3, 4], False)
    assert second.cursor == history.end()
    assert history.page(second.cursor).events == []
    write(path, [outcome(5)])
    assert [event.created for event in history.page(second.cursor).events] == [5]


def test_a_page_looks_at_a_limited_number_of_events(
    path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SCAN", 4)
    write(path, [outcome(number) for number in range(10)] + [of(outcome(10), sensor="linux.Other")])
    cursor, pages = None, 0
    found: list[Recorded] = []
    while True:
        page = history.page(cursor, Filters(sensor="linux.Other"))
        cursor, pages = page.cursor, pages + 1
        found += page.events
        if not page.has_more:
            break
    assert pages == 3
    assert [event.created for event in found] == [10]


@pytest.mark.parametrize("cursor", ["", "1", ".1", "a.", "a.-1", "a.x", f"a.{'9' * 5000}"])
def test_what_is_not_a_cursor_is_refused(cursor: str, path: Path, history: History) -> None:
    write(path, [outcome(1)])
    with pytest.raises(BadCursor, match="this is not a cursor"):
        history.page(cursor)


def test_a_cursor_whose_events_are_gone_is_refused_with_the_oldest_one(path: Path, history: History) -> None:
    day = 86400
    write(path, [outcome(0), outcome(1)])
    early = history.page(None, limit=1).cursor
    write(path, [outcome(9 * day)], Options(max_age=1.0), clock=9.0 * day)
    with pytest.raises(HistoryCut) as refused:
        history.page(early)
    assert [event.created for event in history.page(refused.value.oldest).events] == [9 * day]


def test_a_cursor_of_another_history_is_refused(path: Path, tmp_path: Path, history: History) -> None:
    write(path, [outcome(1)])
    other = tmp_path / "other" / "history.db"
    other.parent.mkdir()
    write(other, [outcome(1)])
    with closing(History(other)) as opened, pytest.raises(HistoryCut):
        history.page(opened.end())


@pytest.mark.parametrize("cursor", ["", "1", ".5", "abcd.", "abcd.x", "abcd.-1", "abcd.²"])
def test_a_text_that_is_no_cursor_is_refused(path: Path, history: History, cursor: str) -> None:
    write(path, [outcome(1)])
    with pytest.raises(HistoryError, match="not a cursor"):
        history.page(cursor)


def test_replays_are_noted(path: Path, history: History) -> None:
    write(path, [outcome(1)])
    history.add_replays([f"{1:032x}"], 12.5, "queue st2.work")
    assert history.replays(f"{1:032x}") == [(12.5, "queue st2.work")]


def test_a_missing_history_says_what_is_missing(history: History) -> None:
    with pytest.raises(HistoryError, match=r"\[history\] enable"):
        history.get("abcd")
