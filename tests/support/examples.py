"""How many examples a test of generated values tries: all of them in make test, a tenth in make check."""

from __future__ import annotations

import os

SHARE = float(os.environ.get("EXAMPLES", "1"))


def examples(most: int) -> int:
    return max(5, round(most * SHARE))
