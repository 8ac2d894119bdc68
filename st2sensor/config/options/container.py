"""The options of `[sensorcontainer]`."""

from __future__ import annotations

from oslo_config import cfg

SENSORCONTAINER = [
    cfg.StrOpt(
        "logging",
        default="/etc/st2/logging.sensorcontainer.conf",
        help="file in the format of logging.conf; if the default is missing, [log] applies",
    ),
    cfg.StrOpt(
        "state_dir", default="/var/lib/st2sensor", help="folder of the outbox, the sockets and the embedded database"
    ),
    cfg.FloatOpt(
        "resync_interval",
        default=30.0,
        min=0.1,
        help="seconds between two reads of the database if no change is announced",
    ),
    cfg.FloatOpt("start_timeout", default=60.0, min=0.1, help="seconds within which a sensor's setup() must be called"),
    cfg.FloatOpt("setup_timeout", default=0.0, min=0, help="seconds that setup() may take; 0: no limit"),
    cfg.FloatOpt("poll_timeout", default=0.0, min=0, help="seconds that poll() may take; 0: no limit"),
    cfg.FloatOpt(
        "trigger_timeout", default=0.0, min=0, help="seconds that a call such as add_trigger() may take; 0: no limit"
    ),
    cfg.FloatOpt(
        "stop_timeout",
        default=10.0,
        min=0,
        help="seconds after which sensors that are still stopping are killed; one deadline for all of them",
    ),
    cfg.FloatOpt(
        "restart_delay",
        default=1.0,
        min=0.01,
        help="seconds until a failed sensor starts again; doubled after each further failure",
    ),
    cfg.FloatOpt(
        "restart_delay_max",
        default=300.0,
        min=0.01,
        help="maximum number of seconds until a failed sensor starts again",
    ),
    cfg.FloatOpt("restart_jitter", default=0.2, min=0, max=1, help="share by which the delay varies at random"),
    cfg.FloatOpt(
        "healthy_after", default=60.0, min=0, help="seconds of a run after which earlier failures no longer count"
    ),
    cfg.IntOpt("failing_after", default=3, min=1, help="failures in a row after which one warning is logged"),
    cfg.IntOpt(
        "changes_at_once",
        default=20,
        min=1,
        help="maximum number of sensors that are started or restarted at the same time",
    ),
    cfg.FloatOpt(
        "output_rate", default=200.0, min=0, help="maximum number of log lines per second from one sensor; 0: no limit"
    ),
    cfg.ListOpt(
        "private_environment",
        default=[],
        help="environment variables that sensors do not inherit, such as AWS_*; ST2_* variables are never inherited",
    ),
    cfg.StrOpt(
        "eventlet",
        default="auto",
        choices=["auto", "always", "never"],
        help="which sensors start with eventlet's monkey patches; auto: those whose code imports eventlet",
    ),
    cfg.StrOpt("sensor_ref", help="run only this sensor, as --sensor-ref does"),
    cfg.BoolOpt("single_sensor_mode", default=False, help="require sensor_ref or --sensor-ref"),
    cfg.StrOpt(
        "sensor_node_name",
        default="sensornode1",
        help="this node's name among nodes that divide the sensors; with name:shared, the default is the host's name",
    ),
    cfg.DictOpt(
        "partition_provider",
        default={"name": "default"},
        help="how nodes divide the sensors: for example name:hash, hash_ranges:0..1024|2048..MAX, or name:shared",
    ),
    cfg.FloatOpt(
        "lease", default=10.0, min=3, help="name:shared: seconds within which a dead container's sensors run elsewhere"
    ),
    cfg.FloatOpt("capacity", default=1.0, min=0.01, help="name:shared: share of sensors, relative to other containers"),
    cfg.ListOpt("labels", default=[], help="name:shared: properties that a sensor's runs_on may require"),
    cfg.IntOpt(
        "moves_at_once",
        default=10,
        min=1,
        help="name:shared: maximum number of sensors handed over at once to balance containers",
    ),
    cfg.StrOpt("control_group", default="st2", help="group whose members may use st2sensor's control socket"),
    cfg.StrOpt("api_url", help="URL that sensors get as ST2_API_URL, for st2client, such as http://127.0.0.1:9101/v1"),
    cfg.StrOpt(
        "api_token_file", help="file with a token that sensors get as ST2_AUTH_TOKEN; read at each start of a sensor"
    ),
    cfg.StrOpt("http", help="HOST:PORT of the status page, health and metrics; unset: no page"),
    cfg.StrOpt(
        "http_token",
        secret=True,
        help="token that visitors of the page need; required unless HOST is a loopback address",
    ),
]
