"""`python -m st2sensor.cli COMMAND ...`: every command, where no scripts are installed."""

from __future__ import annotations

import sys

from st2sensor.cli import st2_generate_symmetric_crypto_key, st2_register_content, st2ctl, st2sensor, st2sensorcontainer

COMMANDS = {
    "st2sensorcontainer": st2sensorcontainer.main,
    "st2ctl": st2ctl.main,
    "st2-register-content": st2_register_content.main,
    "st2-generate-symmetric-crypto-key": st2_generate_symmetric_crypto_key.main,
    "st2sensor": st2sensor.main,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m st2sensor.cli {{{'|'.join(COMMANDS)}}} ...")
    sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
