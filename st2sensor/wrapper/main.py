"""The wrapper's command line. The container calls it; people only look at its help."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from typing import List

from st2sensor.wrapper import check, environment
from st2sensor.wrapper.process import run
from st2sensor.wrapper.title import set_title, show
from st2sensor.wrapper.zygote import Birth, Zygote

DESCRIPTION = "Runs one sensor for st2sensorcontainer, which starts it: it cannot run alone."

EPILOG = """\
environment:
  ST2SENSOR_SOCKET     the container's socket
  ST2SENSOR_TOKEN      names this sensor to the container
  ST2SENSOR_CONTAINER  the container's process id: the wrapper ends with it
  ST2SENSOR_EVENTLET   a Python version and folders: patch with eventlet before all else

example:
  st2sensorcontainer --config-file=/etc/st2/st2.conf --sensor-ref=pack.SensorClass
"""

CANNOT_EXECUTE = 127
"""Exit code."""


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="sensor_wrapper",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ref", nargs="?", help="the sensor's reference, for people who look at the process list")
    parser.add_argument(
        "--check",
        action="store_true",
        help="load the code described on standard input and print a verdict as JSON",
    )
    parser.add_argument(
        "--zygote",
        type=int,
        metavar="FD",
        help="fork wrappers for the container at the other end of this socket; REF is padding, for titles",
    )
    options = parser.parse_args(arguments)
    if options.check:
        return check.main(json.load(sys.stdin))
    if options.zygote is not None:
        return _fork_wrappers(options.zygote)
    if "ST2SENSOR_SOCKET" not in os.environ:
        parser.error("ST2SENSOR_SOCKET is not set: start sensors with st2sensorcontainer --sensor-ref")
    show(options.ref or "?")
    return run(os.environ)


def _fork_wrappers(channel: int) -> int:
    set_title("st2sensor zygote", "st2sensor")
    with socket.socket(fileno=channel) as opened:
        birth = Zygote(opened).serve()
    return 0 if birth is None else _begin(birth)


def _begin(birth: Birth) -> int:
    """In a forked process: become the wrapper of one sensor."""
    environment.restore_signals()
    os.environ.update(birth.variables)
    command = [birth.interpreter, sys.argv[0], birth.ref]
    try:
        environment.limit(birth.limits)
        if birth.execute:
            os.execv(birth.interpreter, command)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot start {birth.ref} with {birth.interpreter}: {error}\n")
        sys.stderr.flush()
        os._exit(CANNOT_EXECUTE)
    # A sensor that executes its own command line gets a wrapper by it.
    sys.argv, sys.orig_argv = command[1:], command
    environment.activate(birth.interpreter)
    return run(os.environ)
