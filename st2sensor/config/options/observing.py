"""The options of the log and of metrics."""

from __future__ import annotations

from oslo_config import cfg

LOG = [
    cfg.StrOpt(
        "format", default="text", choices=["text", "json"], help="format of log lines, unless a logging file is read"
    ),
    cfg.StrOpt(
        "stream",
        default="stderr",
        choices=["stderr", "stdout"],
        help="destination of log lines, unless a logging file is read",
    ),
    cfg.StrOpt(
        "level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        help="least severe level that is logged, unless a logging file is read",
    ),
    cfg.ListOpt("excludes", default=[], help="loggers to leave out, together with the loggers below them"),
    cfg.BoolOpt("redirect_stderr", default=False, help="turn output to stderr into log records"),
    cfg.BoolOpt("mask_secrets", default=True, help="mask secrets of packs' configurations in the log"),
    cfg.ListOpt(
        "mask_secrets_blacklist", default=[], help="further keys of packs' configurations whose values are secret"
    ),
]
SYSLOG = [
    cfg.StrOpt(
        "host", default="127.0.0.1", help="host of the syslog server, for StackStorm's ConfigurableSyslogHandler"
    ),
    cfg.PortOpt("port", default=514, help="port of the syslog server"),
    cfg.StrOpt("facility", default="local7", help="name of the syslog facility"),
    cfg.StrOpt("protocol", default="udp", choices=["udp", "tcp"], help="protocol of the syslog server"),
]
METRICS = [
    cfg.StrOpt(
        "driver", default="noop", choices=["noop", "echo", "statsd"], help="destination of metrics; echo: the log"
    ),
    cfg.StrOpt("host", default="127.0.0.1", help="host of statsd"),
    cfg.PortOpt("port", default=8125, help="port of statsd"),
    cfg.StrOpt("prefix", help="text before each metric's name"),
    cfg.FloatOpt("sample_rate", default=1.0, min=0, max=1, help="share of the metrics that are sent"),
]
