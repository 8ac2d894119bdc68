"""How many examples a test of generated values tries.

make check and make test try a tenth of the usual number, make soak ten times as many.
"""

from __future__ import annotations

import os

SHARE = float(os.environ.get("EXAMPLES", "1"))


def examples(most: int) -> int:
    return max(5, round(most * SHARE))
