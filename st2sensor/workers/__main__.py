"""Entry of a worker process: this folder, as a script, in an interpreter without site-packages of its own."""

from __future__ import annotations

import json
import sys

# The path is the one of the process that has started it: it has what that one has.
sys.path[:] = json.loads(sys.argv[1])

from st2sensor.workers.process import main  # noqa: E402

if __name__ == "__main__":
    main(json.loads(sys.argv[2]))
