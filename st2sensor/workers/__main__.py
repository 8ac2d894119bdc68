"""Entry point of a worker process. This folder runs as a script, in an interpreter without its own site-packages."""

from __future__ import annotations

import json
import sys

# The import path is that of the parent process.
sys.path[:] = json.loads(sys.argv[1])

from st2sensor.workers.process import main  # noqa: E402

if __name__ == "__main__":
    main(json.loads(sys.argv[2]))
