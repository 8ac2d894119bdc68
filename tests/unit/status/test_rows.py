"""What the page gets of reports, and the differences between them."""

from __future__ import annotations

from dataclasses import replace

import orjson

from st2sensor.reports import Hang
from st2sensor.status.rows import TEXT_LIMIT, TROUBLES_LIMIT, Differences, difference, node_row_of, row_of
from st2sensor.trouble import judged, summaries
from tests.support.control_peer import node, report

ROOM = 10_000


def test_a_row_leaves_out_the_span_that_has_not_ended_and_idle_beginnings() -> None:
    assert row_of(report(recent=(0, 0, 3, 0, 1, 9)))["recent"] == (3, 0, 1)
    assert row_of(report(recent=(0, 0, 9)))["recent"] == ()
    assert row_of(report())["recent"] == ()


def test_a_row_counts_held_triggers_even_if_other_troubles_come_first() -> None:
    held = judged(
        report(state="backoff", held=34, failing=True, dead=1, dropped=1, refused="no", held_back="1 trigger")
    )
    row = row_of(held)
    assert row["held"] == 34
    assert all("held by its limits" not in trouble["text"] for trouble in row["troubles"])
    assert difference(row_of(report()), row_of(report(held=1))) == {"held": 1}


def test_texts_of_a_row_are_one_short_line() -> None:
    row = row_of(judged(report(state="backoff", reason="x" * 1000 + "\nmore", dead=1, dropped=1, refused="y" * 1000)))
    assert len(row["reason"]) == TEXT_LIMIT
    assert row["reason"].endswith("…")
    assert len(row["troubles"]) == TROUBLES_LIMIT
    assert all(len(item["text"]) <= TEXT_LIMIT for item in row["troubles"])


def test_a_note_that_a_row_tells_is_left_out() -> None:
    hanging = judged(report(hang=Hang(what="poll()", since=1.0, heard=None)))
    row = node_row_of(node(notes=(*summaries([hanging]), "nobody reads pickle")), [hanging])
    assert row["notes"] == ["nobody reads pickle"]


def test_only_changed_fields_are_taken_and_only_once() -> None:
    differences = Differences()
    before = {"p.A": row_of(report("p.A")), "p.B": row_of(report("p.B"))}
    differences.assume(before)
    now = {"p.A": row_of(report("p.A", restarts=3))}
    assert differences.take(now, ROOM) == ([{"ref": "p.A", "restarts": 3}], ["p.B"], 0)
    assert differences.take(now, ROOM) == ([], [], 0)
    assert differences.take({**now, "p.C": before["p.B"]}, ROOM)[0] == [before["p.B"]]


def test_what_does_not_fit_waits_its_turn() -> None:
    differences = Differences()
    differences.assume({f"p.S{number}": row_of(report(f"p.S{number}")) for number in range(9)})
    found = {f"p.S{number}": report(f"p.S{number}", restarts=1) for number in range(9)}
    found["p.S7"] = replace(found["p.S7"], state="stopping")
    size = len(orjson.dumps({"ref": "p.S0", "restarts": 1})) + 1
    taken: list[str] = []
    for turn in range(9):
        # Numbers change in every turn; still no row waits forever.
        rows = {ref: row_of(replace(item, restarts=turn + 1)) for ref, item in found.items()}
        chosen, gone, waiting = differences.take(rows, 2 * size)
        assert gone == []
        assert waiting == 9 - len(chosen)
        taken += [item["ref"] for item in chosen]
    assert taken[0] == "p.S7"
    assert set(taken) == found.keys()


def test_at_least_one_change_is_taken() -> None:
    differences = Differences()
    rows = {"p.A": row_of(report("p.A")), "p.B": row_of(report("p.B"))}
    assert len(differences.take(rows, 0)[0]) == 1
    assert differences.take(rows, -5) == ([rows["p.B"]], [], 0)
    assert differences.take({}, 0) == ([], ["p.A"], 1)
    assert differences.take({}, 0) == ([], ["p.B"], 0)
