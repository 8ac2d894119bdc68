"""The container's reports about itself and its sensors, for commands and pages."""

from st2sensor.reports.node import CONTROL_SOCKET, PAGE, Check, NodeReport, PushReport, SharingReport
from st2sensor.reports.sensors import (
    DISABLED,
    DOWN,
    ELSEWHERE,
    REFUSED,
    STATES,
    TURN,
    WAITING,
    Hang,
    Notice,
    Poll,
    SensorReport,
    Trouble,
)

__all__ = [
    "CONTROL_SOCKET",
    "Check",
    "DISABLED",
    "DOWN",
    "ELSEWHERE",
    "Hang",
    "NodeReport",
    "Notice",
    "PAGE",
    "Poll",
    "PushReport",
    "REFUSED",
    "STATES",
    "SensorReport",
    "SharingReport",
    "TURN",
    "Trouble",
    "WAITING",
]
