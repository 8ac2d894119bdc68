from __future__ import annotations

import click
import pytest

from st2sensor.cli.events.confirming import require_one_kind


def test_ids_go_with_nothing_else() -> None:
    require_one_kind([1], everything=False, is_filtered=False)
    require_one_kind([], everything=True, is_filtered=True)
    for everything, is_filtered in ((True, False), (False, True)):
        with pytest.raises(click.UsageError):
            require_one_kind([1], everything, is_filtered)
