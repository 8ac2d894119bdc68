"""Every file and every command that the newer guides in docs/ show, tried from top to bottom."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from st2sensor import config
from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.config.reference import reference
from tests.plugins.patience import LATER, SOON
from tests.support.forks import Process
from tests.support.guides import DOCS, Command, Section, Snippet, missing, sections
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, Container, Workspace, environment, forks, printed_by

GUIDES = (
    "sensors.md",
    "operations.md",
    "events.md",
    "configuration.md",
    "migrating.md",
    "troubleshooting.md",
    "webhooks.md",
    "timers.md",
    "instances.md",
    "expectations.md",
    "storms.md",
    "secrets.md",
)
SECTIONS = [section for guide in GUIDES for section in sections(guide)]

NOT_RUN = {
    "systemctl ": "needs systemd and root",
    "journalctl ": "needs systemd",
    "mongodump ": "needs MongoDB's tools",
    "mongosh ": "needs MongoDB's shell",
    "runuser ": "needs root, and an interpreter that others can read",
    "/opt/stackstorm/st2sensor/bin/pip ": "installs from the network",
}
"""How commands begin that cannot be tried here, and why."""

ENDLESS = re.compile(r"st2sensor (tail|dev|run) |st2sensor logs .* -f$")
"""Goes on until Ctrl-C."""

LOOKS = re.compile(
    r"(curl|grep|cat|ls) "
    r"|st2sensor (list|show|top|logs|events|why|rhythm|triggers$|rules|key (list|get)|dead-letters (list|show))"
)
"""May be tried again until what it shows is so."""

EXITS = {
    ("troubleshooting.md: A sensor does not start", "st2sensor show net.NoSensor"): 66,
    ("troubleshooting.md: The database is away", "st2ctl reload --register-all"): 69,
    ("troubleshooting.md: A library is missing", "st2ctl reload --register-all"): 1,
    # What is missing there is to be had nowhere.
    ("troubleshooting.md: A library is missing", "st2ctl reload --register-setup-virtualenvs"): 1,
    ("troubleshooting.md: A library is missing", "st2sensor validate /opt/stackstorm/packs/astro"): 1,
    ("troubleshooting.md: The configuration is refused", "ST2_OUTBOX__MAX_SIZE=lots st2sensor list"): 78,
    ("troubleshooting.md: The configuration is refused", "st2sensor --config-file /etc/st2/missing.conf list"): 78,
    (
        "troubleshooting.md: Nobody can connect to the control socket",
        "ST2_SENSORCONTAINER__STATE_DIR=/nowhere st2sensor top --once",
    ): 69,
    ("operations.md: Dead letters", "st2sensor dead-letters replay 1"): 1,
    ("timers.md: Ask for a timer", "st2sensor triggers add core.st2.CronTimer minute=99"): 65,
    ("instances.md: Mistakes", "st2sensor validate /opt/stackstorm/packs/feeds"): 1,
    ("storms.md: Mistakes", "st2sensor validate /opt/stackstorm/packs/monitoring"): 1,
    ("secrets.md: Mistakes", "st2sensor validate /opt/stackstorm/packs/net"): 1,
}
"""Exit codes other than 0, by section and command."""

PING = "class PingSensor(Sensor):\n    def run(self):\n        raise RuntimeError('no luck')\n"

TYPO = """
import time

class TypoSensor(Sensor):
    def run(self):
        self.sensor_service.dispatch("net.nothing", {"n": 1})
        self.sensor_service.dispatch("net.event", {"n": "many"})
        time.sleep(1000)
"""

HANG = "import time\n\nclass HangSensor(PollingSensor):\n    def poll(self):\n        time.sleep(1000)\n"

FLOOD = """
import time

class FloodSensor(Sensor):
    def run(self):
        while True:
            for number in range(60):
                print("line", number)
            self.sensor_service.dispatch("net.event", {"n": 1})
            time.sleep(0.3)
"""

LEAK = """
import time

class LeakSensor(Sensor):
    def run(self):
        self.kept = [b"x" * 2**20 for _ in range(80)]
        time.sleep(1000)
"""

FEED = """
class FeedSensor(PollingSensor):
    def poll(self):
        print("reading", self.config["url"])
"""

OLD = """
import time

class OldSensor(Sensor):
    def run(self):
        self.sensor_service.set_value("cursor", "7")
        time.sleep(1000)
"""

ALERTS = """
import itertools
import time

class AlertSensor(Sensor):
    def run(self):
        for number in itertools.count():
            self.sensor_service.dispatch("monitoring.alert", {"id": number // 5, "number": number})
            self.sensor_service.dispatch("monitoring.heartbeat", {})
            time.sleep(0.3)
"""

TOKEN = """
import time

class TokenSensor(Sensor):
    def run(self):
        print("the token begins with", self.config["token"][:2])
        time.sleep(1000)
"""

ENTRY = {"name": "entry", "parameters_schema": {"type": "object", "properties": {"topic": {"type": "string"}}}}

FEED_SCHEMA = """\
url: {type: string}
limits: {type: object, properties: {entries: {type: integer, default: 10}}}
"""

EVENT = {"name": "event", "payload_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}

OVERRIDES = """\
st2sensor:
  exceptions:
    HangSensor: {poll_timeout: 0.5}
    LeakSensor: {memory: 40M}
"""


class Site:
    """An installation, to which the guides' paths and ports are translated, and what it prints is translated back."""

    def __init__(
        self, folder: Path, *, database: str = "sqlite://", messaging: str = "local://", serializer: str = "json"
    ) -> None:
        self.workspace = Workspace(folder, database=database, messaging=messaging, serializer=serializer)
        self.port = free_port()
        self.webhooks = free_port()
        log = folder / "log"
        log.mkdir()
        (log / "app.log").touch()
        self.app_log = log / "app.log"
        self.container: Container | None = None
        self.names = {
            "/opt/stackstorm": str(folder),
            "/etc/st2": str(folder),
            "/var/lib/st2sensor": str(folder / "state"),
            "/var/log": str(log),
            "127.0.0.1:9105": f"127.0.0.1:{self.port}",
            "127.0.0.1:9101": f"127.0.0.1:{self.webhooks}",
            "8090": str(free_port()),
        }

    def here(self, text: str) -> str:
        for theirs, ours in self.names.items():
            text = text.replace(theirs, ours)
        return text

    def there(self, text: str) -> str:
        """The other way round; what is below the folder first, and without what a folder has two names for."""
        for theirs, ours in sorted(self.names.items(), key=lambda pair: -len(pair[1])):
            if theirs != "/etc/st2" and not ours.isdigit():
                text = text.replace(ours, theirs)
        return text.replace("/opt/stackstorm/st2.conf", "/etc/st2/st2.conf").replace(
            "/opt/stackstorm/missing.conf", "/etc/st2/missing.conf"
        )

    def watch_a_file(self) -> None:
        self.workspace.link_pack("linux")
        self.workspace.add_rule("default", "watch", "linux.file_watch.line", file_path=str(self.app_log))

    def stir(self) -> None:
        """Have what is followed happen."""
        with self.app_log.open("a") as log:
            log.write("hello\n")

    def register(self) -> None:
        self.workspace.reload_well()

    def start(self) -> Container:
        """With its log where a service's may be."""
        self.container = self.workspace.start()
        log = self.app_log.parent / "st2sensor" / "container.log"
        log.parent.mkdir(exist_ok=True)
        log.symlink_to(self.container.log_file)
        return self.container

    def end(self) -> None:
        """Have it stop, and wait for nothing."""
        if self.container is not None:
            self.container.process.terminate()

    def close(self) -> None:
        # What was only said to be a MongoDB has nothing to drop.
        self.workspace.database = "sqlite://"
        self.workspace.close()


@pytest.fixture(scope="module")
def make_site() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []
    with ExitStack() as stack:

        def make(kind: type[Site] = Site, **how: Any) -> Site:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True))
            site = kind(Path(folder), **how)
            stack.callback(site.close)
            sites.append(site)
            return site

        yield make
        for site in sites:
            site.end()


@pytest.fixture(scope="module")
def author(make_site: Callable[..., Site]) -> Site:
    """A container without packs."""
    site = make_site()
    site.workspace.warnings = "ignore"
    site.start()
    return site


@pytest.fixture(scope="module")
def idle(make_site: Callable[..., Site]) -> Site:
    """No container."""
    return make_site()


@pytest.fixture(scope="module")
def operator(make_site: Callable[..., Site]) -> Site:
    """A sensor that works, one that fails, and one that dispatches what nobody declares, all seen over HTTP."""
    site = make_site()
    site.workspace.configure(f"http = 127.0.0.1:{site.port}\nhttp_token = s3cret\nrestart_delay = 0.1")
    site.watch_a_file()
    site.workspace.add_sensor("net", "PingSensor", PING)
    site.register()
    container = site.start()
    container.wait_for_log(f"following {site.app_log}")
    container.wait_for_log("net.PingSensor keeps failing")
    site.stir()
    return site


@pytest.fixture(scope="module")
def newcomer(make_site: Callable[..., Site]) -> Site:
    """What a StackStorm ran runs here; all is well."""
    site = make_site()
    site.watch_a_file()
    site.register()
    site.start()
    return site


@pytest.fixture(scope="module")
def trouble(make_site: Callable[..., Site]) -> Site:
    """One sensor for each symptom."""
    site = make_site()
    workspace = site.workspace
    workspace.configure("restart_delay = 0.1\noutput_rate = 10")
    site.watch_a_file()
    for name, code, more in (
        ("PingSensor", PING, {}),
        ("GoneSensor", PING.replace("Ping", "Gone"), {"enabled": False}),
        ("TypoSensor", TYPO, {"trigger_types": [EVENT]}),
        ("HangSensor", HANG, {"poll_interval": 0.5}),
        ("FloodSensor", FLOOD, {}),
        ("LeakSensor", LEAK, {}),
    ):
        workspace.add_sensor("net", name, code, **more)
    (workspace.folder / "overrides").mkdir()
    (workspace.folder / "overrides" / "net.yaml").write_text(OVERRIDES)
    site.register()
    site.start()
    return site


@pytest.fixture(scope="module")
def several(make_site: Callable[..., Site]) -> Site:
    """A sensor that gets instances, and one with a key."""
    site = make_site()
    workspace = site.workspace
    workspace.add_sensor("feeds", "FeedSensor", FEED, poll_interval=1, trigger_types=[ENTRY])
    workspace.add_sensor("feeds", "OldSensor", OLD)
    (workspace.packs / "feeds" / "config.schema.yaml").write_text(FEED_SCHEMA)
    (workspace.folder / "configs").mkdir()
    (workspace.folder / "configs" / "feeds.yaml").write_text("url: http://127.0.0.1\n")
    site.register()
    site.start().wait_for_log("reading http://127.0.0.1")
    return site


@pytest.fixture(scope="module")
def flooded(make_site: Callable[..., Site]) -> Site:
    """A sensor that dispatches alerts and heartbeats all the time, with repeats."""
    site = make_site()
    site.workspace.add_sensor(
        "monitoring", "AlertSensor", ALERTS, trigger_types=[{"name": "alert"}, {"name": "heartbeat"}]
    )
    site.register()
    site.start()
    return site


@pytest.fixture(scope="module")
def secretive(make_site: Callable[..., Site]) -> Site:
    """A sensor that has a token from its configuration, and a folder for secrets."""
    site = make_site()
    folder = site.workspace.folder
    site.workspace.configure(f"[secrets]\nfile_folders = {folder}/secrets\nrefresh_interval = 1")
    site.workspace.add_sensor("net", "TokenSensor", TOKEN)
    (folder / "secrets").mkdir()
    (folder / "configs").mkdir()
    (folder / "configs" / "net.yaml").write_text("token: none\n")
    site.register()
    site.start().wait_for_log("the token begins with no")
    return site


@pytest.fixture(scope="module")
def bad_pack(trouble: Site) -> Site:
    """A sensor that needs what is not installed."""
    trouble.workspace.add_sensor("astro", "StarSensor", "import nosuchlibrary\n\nclass StarSensor(Sensor):\n    pass\n")
    return trouble


class CoreSite(Site):
    """Webhooks and timers are on, and a rule may ask for them, or does so.

    :param database: an st2.db in which both sensors have been registered: their code is not checked again.
    :param rules: trigger types and parameters.
    """

    def __init__(
        self, folder: Path, *, database: Path | None = None, rules: Sequence[tuple[str, dict[str, Any]]] = ()
    ) -> None:
        super().__init__(folder)
        if database is not None:
            self.workspace.state.mkdir()
            shutil.copy(database, self.workspace.state)
        self.workspace.configure(f"[webhooks]\nenable = true\nport = {self.webhooks}\n[timers]\nenable = true")
        self.workspace.make_key()
        self.workspace.add_pack("default")
        for number, (trigger_type, parameters) in enumerate(rules):
            self.workspace.add_rule("default", f"rule{number}", trigger_type, **parameters)
        self.register()

    def serve(self) -> None:
        self.start().wait_for_log("listening at")

    def stir(self) -> None:
        """Post what a guide shows; the sensor may just start again."""
        url = f"http://127.0.0.1:{self.webhooks}/api/v1/webhooks/deploy"
        headers = {"X-GitHub-Event": "push", "St2-Trace-Tag": "deploy-7"}
        with suppress(requests.ConnectionError):
            requests.post(url, json={"ref": "main"}, headers=headers, timeout=SOON)


@pytest.fixture(scope="module")
def core_database(make_site: Callable[..., Site]) -> Path:
    return make_site(CoreSite).workspace.state / "st2.db"


@pytest.fixture
def core(make_site: Callable[..., CoreSite], core_database: Path) -> Iterator[Site]:
    """Nobody has asked for anything yet. Each section has its own: it changes what another would show."""
    site = make_site(CoreSite, database=core_database)
    site.serve()
    yield site
    site.end()


@pytest.fixture
def asked(make_site: Callable[..., CoreSite], core_database: Path) -> Iterator[Site]:
    """There are rules for urls and a timer; each section has its own, too."""
    site = make_site(
        CoreSite,
        database=core_database,
        rules=[
            ("core.st2.webhook", {"url": "deploy"}),
            ("core.st2.webhook", {"url": "github"}),
            ("core.st2.IntervalTimer", {"unit": "seconds", "delta": 1}),
        ],
    )
    site.serve()
    yield site
    site.end()


@pytest.fixture(scope="module")
def no_broker(make_site: Callable[..., Site]) -> Site:
    site = make_site(messaging=f"amqp://127.0.0.1:{free_port()}//")
    site.workspace.configure("[outbox]\nmax_size = 3")
    site.workspace.add_sensor("net", "FloodSensor", FLOOD, trigger_types=[EVENT])
    site.register()
    site.start()
    return site


@pytest.fixture(scope="module")
def no_database(make_site: Callable[..., Site]) -> Site:
    site = make_site(database=f"mongodb://127.0.0.1:{free_port()}")
    site.start()
    return site


@pytest.fixture(scope="module")
def taken_port(make_site: Callable[..., Site]) -> Iterator[Site]:
    site = make_site()
    site.workspace.configure(f"http = 127.0.0.1:{site.port}")
    with socket.socket() as other:
        other.bind(("127.0.0.1", site.port))
        other.listen()
        site.start()
        yield site


SITES = {
    "sensors.md": "author",
    "operations.md": "operator",
    "events.md": "operator",
    "operations.md: Start and stop": "idle",
    "operations.md: Dead letters": "trouble",
    "migrating.md": "newcomer",
    "troubleshooting.md": "trouble",
    "troubleshooting.md: A library is missing": "bad_pack",
    "troubleshooting.md: The broker is away": "no_broker",
    "troubleshooting.md: The outbox is full": "no_broker",
    "troubleshooting.md: The database is away": "no_database",
    "troubleshooting.md: The HTTP port is taken": "taken_port",
    "troubleshooting.md: A webhook has no effect": "core",
    "troubleshooting.md: A timer does not fire": "core",
    "webhooks.md": "asked",
    "webhooks.md: Request a URL": "core",
    "timers.md": "asked",
    "expectations.md": "author",
    "timers.md: Ask for a timer": "core",
    "instances.md": "several",
    "storms.md": "flooded",
    "secrets.md": "secretive",
}
"""Where a guide is tried, and its sections that need another place."""


IN_ITS_ORDER = {f"migrating.md: {title}" for title in ("Move over", "Side by side", "Go back")}
"""Sections that test_migrating.py follows one after the other."""


@pytest.mark.parametrize(
    "section",
    [section for section in SECTIONS if section.name not in IN_ITS_ORDER],
    ids=lambda section: section.name,
)
def test_what_a_guide_shows_is_so(section: Section, request: pytest.FixtureRequest) -> None:
    if section.title == "Start and stop" and Path("/run/systemd/system").exists():
        pytest.skip("systemd runs here, and starts what is installed")
    site: Site = request.getfixturevalue(SITES.get(section.name) or SITES[section.guide])
    for step in section.steps:
        if isinstance(step, Snippet):
            write(step, site)
        elif not step.line.startswith(tuple(NOT_RUN)):
            follow(section, step, site)


def write(snippet: Snippet, site: Site) -> None:
    """A piece of st2.conf is just read: the container runs."""
    path = Path(site.here(snippet.path))
    text = site.here(snippet.text)
    if snippet.language == "ini":
        path = site.workspace.folder / "shown.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if snippet.language == "ini":
        assert not config.load([str(path)]).warnings


def follow(section: Section, command: Command, site: Site) -> None:
    if ENDLESS.match(command.line):
        until_interrupted(command, site)
        return
    wanted = EXITS.get((section.name, command.line), 0)
    told = ""

    def is_so() -> bool:
        nonlocal told
        code, printed = run(site.here(command.line), site)
        lacking = missing(command.output, site.there(printed))
        told = f"{command.place}: {command.line}\nended with {code}, without {lacking!r}:\n{site.there(printed)}"
        return lacking is None and code == wanted

    if not LOOKS.match(command.line):
        assert is_so(), told
        return
    try:
        eventually("what it shows", is_so)
    except AssertionError:
        pytest.fail(told)


def run(line: str, site: Site) -> tuple[int, str]:
    """A command of the product alone is run as a fork, all else by a shell."""
    words, variables = parsed(line)
    if is_alone(words):
        variables = {**environment("ignore"), **settings(site), **variables}
        return printed_by(words, cwd=site.workspace.folder, env=variables)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=site.workspace.folder,
        env=shell(site),
        capture_output=True,
        text=True,
        timeout=LATER,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def parsed(line: str) -> tuple[list[str], dict[str, str]]:
    """A command's words, and the variables that are set for it."""
    words = shlex.split(line)
    variables = {}
    while re.match(r"[A-Z]\w+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return words, variables


def is_alone(words: Sequence[str]) -> bool:
    """Whether it is a command of the product that needs no shell."""
    return words[0] in PROGRAMS and not set(words) & {"|", "<", ">"}


def until_interrupted(command: Command, site: Site) -> None:
    """Until all that a guide shows was seen; meanwhile what it follows happens."""
    output = site.workspace.temporary / "output"
    words, variables = parsed(site.here(command.line))
    assert is_alone(words), command.place
    with output.open("w") as file:
        process = forks().start(
            words,
            cwd=site.workspace.folder,
            env={**environment("ignore"), **settings(site), **variables},
            stdout=file.fileno(),
            stderr=file.fileno(),
        )

    def seen() -> bool:
        if command.output:
            site.stir()
        return missing(command.output, site.there(output.read_text())) is None

    try:
        eventually(f"{command.place}: what it shows", seen)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{site.there(output.read_text())}") from None
    finally:
        eventually(f"{command.place}: it ends", lambda: interrupted(process))


def interrupted(process: Process) -> bool:
    """Press Ctrl-C, again if need be: an interpreter that is just starting may miss it."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.poll() is not None


def settings(site: Site) -> dict[str, str]:
    return {"ST2_CONF": str(site.workspace.config), "COLUMNS": "300", "XDG_CACHE_HOME": str(site.workspace.temporary)}


def shell(site: Site) -> dict[str, str]:
    """The product's commands are on PATH."""
    folder = site.workspace.folder / "bin"
    if not folder.exists():
        folder.mkdir()
        for name in PROGRAMS:
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -m st2sensor.cli {name} "$@"\n')
            script.chmod(0o755)
    inherited = environment("ignore")
    return {**inherited, **settings(site), "PATH": f"{folder}:{inherited['PATH']}"}


COMMAND_LINES = [step for section in SECTIONS for step in section.steps if isinstance(step, Command)]


def test_every_command_can_be_parsed() -> None:
    for command in COMMAND_LINES:
        code = subprocess.run(["bash", "-n", "-c", command.line], check=False).returncode
        assert code == 0, f"{command.place}: {command.line}"
        for path in re.findall(r"(?<!\S)conf/\S+", command.line):
            assert (ROOT / path).exists(), f"{command.place}: {path}"


def test_what_is_not_run_is_shown_somewhere() -> None:
    for beginning in NOT_RUN:
        assert any(command.line.startswith(beginning) for command in COMMAND_LINES), beginning
    shown = {(section.name, step.line) for section in SECTIONS for step in section.steps if isinstance(step, Command)}
    assert set(EXITS) <= shown
    assert {name for name in SITES if ": " in name} <= {section.name for section in SECTIONS}


def test_the_commands_that_a_text_names_exist(tmp_path: Path) -> None:
    # The groups of key and dead-letters want a configuration before they help.
    variables = {**environment("ignore"), "ST2_CONF": str(ROOT / "conf" / "st2.conf")}
    named = set()
    for path in (*DOCS.glob("*.md"), ROOT / "README.md"):
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        named |= set(re.findall(r"^    (?:\.venv/bin/)?((?:st2sensor|st2ctl) [a-z-].*)$", text, re.MULTILINE))
        text = re.sub(r"\s+", " ", text)
        named |= set(re.findall(r"`((?:st2sensor|st2ctl) [a-z][^`]*)`", text))
    helps: dict[tuple[str, ...], str] = {}
    for line in sorted(named):
        words = re.sub(r"--config-file \S+ ", "", line).split()
        inner = 3 if words[1] in ("key", "dead-letters", "triggers", "apikey") and len(words) > 2 else 2
        asked = (*words[:inner], "--help")
        if asked not in helps:
            code, helps[asked] = printed_by(asked, cwd=tmp_path, env=variables)
            assert code == 0, f"{line}: {helps[asked]}"
        for option in re.findall(r"--[a-z-]+", " ".join(words)):
            assert option in helps[asked], line


def test_the_commands_for_keys_are_run_as_they_stand(idle: Site) -> None:
    text = (DOCS / "datastore.md").read_text()
    (keys,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    folder = idle.workspace.folder
    (folder / "keys.yaml").write_text(keys)
    (folder / "keys").mkdir()
    idle.workspace.configure("[keyvalue]\nencryption_key_path = keys/datastore_key.json")
    commands = re.findall(r"^    (st2.*)$", text, re.MULTILINE)
    # The new key is made first, and everything is encrypted again last.
    commands.append(commands.pop(1))
    assert "reencrypt" in commands[-1]
    said = {command: run(idle.here(command), idle) for command in commands}
    assert len(said) == 9
    assert {code for code, _ in said.values()} == {0}, said
    assert "hush" in said["st2sensor key get github.token --decrypt"][1]


def test_the_configuration_reference_is_that_of_the_options() -> None:
    assert (DOCS / "configuration.md").read_text() == reference(), "run make docs"


def test_every_metric_is_in_the_table_and_no_other(operator: Site) -> None:
    table = (DOCS / "metrics.md").read_text()
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", table, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"\w+", cell)]

    def shown() -> list[str]:
        page = subprocess.run(
            ["curl", "-s", "-H", "Authorization: Bearer s3cret", operator.here("http://127.0.0.1:9105/metrics")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return [family.name for family in text_string_to_metric_families(page)]

    # Some are there once something was measured.
    eventually("all are there", lambda: set(named) <= set(shown()))
    assert sorted(named) == sorted(shown())


def test_what_is_shown_is_compared_but_for_numbers_and_times() -> None:
    printed = "head\nnet.S  running  2 s ago  3 of 9\nid 7bdb8979d69f4776b38f24f01ae0bf25\ntail\n"
    assert missing(("net.S running now 17 of 1", "id " + "0" * 32), printed) is None
    assert missing(("...", "net.S ... of 1", "...", "tail"), printed) is None
    assert missing(("net.S  stopped  2 s ago  3 of 9",), printed) == "net.S  stopped  2 s ago  3 of 9"
    assert missing(("tail", "head"), printed) == "head"


@pytest.mark.parametrize("guide", [guide for guide in GUIDES if guide != "configuration.md"])
def test_the_links_of_a_guide_lead_somewhere(guide: str) -> None:
    text = (DOCS / guide).read_text()
    for link in re.findall(r"\]\(([\w.-]+)\)", text):
        assert (DOCS / link).exists(), link
