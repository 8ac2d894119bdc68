"""`python -m st2sensor.cli PROGRAM ...` runs any of the programs if no scripts are installed."""

from __future__ import annotations

import sys

from st2sensor.cli import interrupt
from st2sensor.system.lazy import resolve

PROGRAMS = {
    "st2sensorcontainer": "st2sensor.cli.st2sensorcontainer:main",
    "st2ctl": "st2sensor.cli.st2ctl:main",
    "st2-register-content": "st2sensor.cli.st2_register_content:main",
    "st2-generate-symmetric-crypto-key": "st2sensor.cli.st2_generate_symmetric_crypto_key:main",
    "st2sensor": "st2sensor.cli.st2sensor:main",
}

if __name__ == "__main__":
    interrupt.end()
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        sys.exit(f"usage: python -m st2sensor.cli {{{'|'.join(PROGRAMS)}}} ...")
    sys.exit(resolve(PROGRAMS[sys.argv[1]])(sys.argv[2:]))
