"""The wrapper's command line. The container calls it; people only look at its help."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import List

from st2sensor.wrapper import check
from st2sensor.wrapper.process import run

DESCRIPTION = "Runs one sensor for st2sensorcontainer, which starts it: it cannot run alone."

EPILOG = """\
environment:
  ST2SENSOR_SOCKET     the container's socket
  ST2SENSOR_TOKEN      names this sensor to the container
  ST2SENSOR_CONTAINER  the container's process id: the wrapper ends with it

example:
  st2sensorcontainer --config-file=/etc/st2/st2.conf --sensor-ref=pack.SensorClass
"""


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
    options = parser.parse_args(arguments)
    if options.check:
        return check.main(json.load(sys.stdin))
    if "ST2SENSOR_SOCKET" not in os.environ:
        parser.error("ST2SENSOR_SOCKET is not set: start sensors with st2sensorcontainer --sensor-ref")
    return run(os.environ)
