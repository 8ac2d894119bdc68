"""A hundred sensors, each of a kind that does harm unless a file named `calm` exists."""

from __future__ import annotations

import yaml

from tests.support.workspace import Workspace

KINDS = {
    "Healthy": "pass",
    "Raises": "if chance(20): raise RuntimeError('raised at random')",
    "Exits": "if chance(20): os._exit(random.randrange(1, 256))",
    "Crashes": "if chance(20): os.abort()",
    "Hangs": "if chance(30): time.sleep(1000)",
    "Spins": "if chance(60): sum(range(10**13))",
    "Floods": "if chance(5): [print('flood', number) for number in range(20000)]",
    "Logs": "if chance(5): [self.logger.error('flood %d', number) for number in range(2000)]",
    "Leaks": "if chance(5): subprocess.Popen(['sh', '-c', 'sleep 5 & exec sleep 7'])",
    "Forks": "if chance(5): os.fork() or os._exit(0)",
    "Threads": "if chance(5): threading.Thread(target=time.sleep, args=(3,)).start()",
    "Stubborn": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "Eats": "self.eaten = b'x' * 100_000_000 if chance(60) else None",
}

CODE = """
import os, random, signal, subprocess, threading, time

def chance(seconds):
    return not os.path.exists({calm!r}) and random.random() < {interval} / seconds

class {name}(PollingSensor):
    def setup(self):
        random.seed()
        self.logger = self.sensor_service.get_logger("soak")
    def poll(self):
        {body}
        self.sensor_service.dispatch("soak.beat", {{"name": "{name}"}})
    def cleanup(self):
        self.sensor_service.dispatch("soak.beat", {{"name": "{name}", "down": True}})
"""

INTERVAL = 0.5
"""Seconds between polls: harm with chance(N) happens about once in N seconds."""

CONFIG = """\
restart_delay = 0.2
restart_delay_max = 3
stop_timeout = 2
poll_timeout = 3
output_rate = 5
resync_interval = 5
"""


def add_sensors(workspace: Workspace, count: int) -> None:
    """Add the sensors to pack `soak`, cycling through the kinds, and configure short timeouts."""
    workspace.configure(CONFIG)
    kinds = list(KINDS.items())
    for number in range(count):
        kind, body = kinds[number % len(kinds)]
        name = f"{kind}{number}"
        code = CODE.format(name=name, body=body, calm=str(workspace.folder / "calm"), interval=INTERVAL)
        workspace.add_sensor("soak", name, code, poll_interval=INTERVAL, trigger_types=[{"name": "beat"}])
    overrides = workspace.folder / "overrides"
    overrides.mkdir()
    (overrides / "soak.yaml").write_text(yaml.safe_dump({"st2sensor": {"defaults": {"memory": "60M"}}}))
    workspace.reload_well()
