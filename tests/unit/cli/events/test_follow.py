"""A trigger as a line of output."""

from __future__ import annotations

import io
import re

from rich.console import Console

from st2sensor.cli.events import follow
from st2sensor.cli.events.seen import Seen
from tests.support.control_peer import LONE, STEERS


def test_a_trigger_that_passes_is_one_line_without_what_steers() -> None:
    text = f"{LONE}\n\t"
    seen = Seen(
        time="",
        trigger=text,
        trigger_type=text,
        payload={text: text, "x": [text]},
        trace_context={"trace_tag": text},
        message_id=None,
    )
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system="truecolor").print(follow.line(seen), soft_wrap=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert plain.count("\n") == 1
    assert STEERS.search(plain) is None
