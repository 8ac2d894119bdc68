"""The wrapper's command line. The container calls it; people only read its help."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import List, NoReturn

from st2sensor.wrapper.forking import environment, zygote
from st2sensor.wrapper.forking.title import Title
from st2sensor.wrapper.forking.zygote import Birth
from st2sensor.wrapper.loading import check
from st2sensor.wrapper.process import Wrapper

DESCRIPTION = "Runs one sensor. st2sensorcontainer starts this program; it cannot be run on its own."

EPILOG = """\
environment:
  ST2SENSOR_SOCKET     the container's socket
  ST2SENSOR_TOKEN      identifies this sensor to the container
  ST2SENSOR_CONTAINER  the container's process id: the wrapper ends with it
  ST2SENSOR_EVENTLET   a Python version and folders: patch with eventlet before anything else

example:
  st2sensorcontainer --config-file=/etc/st2/st2.conf --sensor-ref=pack.SensorClass
"""

CANNOT_EXECUTE = 127
"""Exit code when the pack's interpreter cannot be executed."""


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="sensor_wrapper",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ref", nargs="?", help="the sensor's reference, for readers of the process list")
    parser.add_argument(
        "--check",
        action="store_true",
        help="load the code described on standard input and print a verdict as JSON",
    )
    parser.add_argument(
        "--zygote",
        type=int,
        nargs=2,
        metavar="FD",
        help="fork wrappers for the container at the other end of these sockets; REF only reserves space for titles",
    )
    options = parser.parse_args(arguments)
    if options.check:
        return check.main(json.load(sys.stdin))
    if options.zygote is None:
        if "ST2SENSOR_SOCKET" not in os.environ:
            parser.error("ST2SENSOR_SOCKET is not set: start sensors with st2sensorcontainer --sensor-ref")
        Title().show_sensor(options.ref or "?")
        Wrapper().run(os.environ)
    return _fork_wrappers(*options.zygote)


def _fork_wrappers(births: int, groups: int) -> int:
    wrapper = Wrapper()
    birth = zygote.serve(births, groups, outputs=(1, 2, wrapper.stacks))
    if birth is not None:
        _begin(birth, wrapper)
    return 0


def _begin(birth: Birth, wrapper: Wrapper) -> NoReturn:
    """Turn a forked process into the wrapper of one sensor."""
    for name, value in birth.variables.items():
        os.environ[name] = value
    command = [birth.interpreter, sys.argv[0], birth.ref]
    try:
        if birth.limits:
            environment.limit(birth.limits)
        if birth.execute:
            os.execv(birth.interpreter, command)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot start {birth.ref} with {birth.interpreter}: {error}\n")
        sys.stderr.flush()
        os._exit(CANNOT_EXECUTE)
    # If a sensor re-executes itself with sys.argv or sys.orig_argv, that must start a wrapper again.
    sys.argv, sys.orig_argv = command[1:], command
    if birth.interpreter != sys.executable:
        environment.activate(birth.interpreter)
    wrapper.run(os.environ)
