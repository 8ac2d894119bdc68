"""How many examples a test of generated values tries.

A tenth of them in make check, three tenths in make test, ten times as many as these in make soak.
"""

from __future__ import annotations

import os

SHARE = float(os.environ.get("EXAMPLES", "1"))


def examples(most: int) -> int:
    return max(5, round(most * SHARE))
