"""The datastore, from sensors and commands to the database, seen from outside."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import missing
from tests.plugins.patience import AT_LAST, LATER
from tests.support.servers import mongodb
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, Workspace

DOCUMENT = (ROOT / "docs" / "datastore.md").read_text()

SNIPPETS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)

DONE = [{"name": "done"}]


def sensor(body: str, name: str = "KeySensor") -> str:
    """A sensor whose run() does something, and dispatches docs.done."""
    inner = textwrap.indent(textwrap.dedent(body), " " * 8)
    return f"import json\nimport time\n\n\nclass {name}(Sensor):\n    def run(self):\n{inner}\n"


def stored(workspace: Workspace) -> dict[str, str]:
    """All keys with their values, as a database's own client sees them."""
    if workspace.database.startswith("mongodb"):
        return {item["name"]: item["value"] for item in workspace.documents("key_value_pair_d_b")}
    with closing(sqlite3.connect(workspace.folder / "state" / "st2.db")) as connection:
        rows = connection.execute("SELECT document FROM key_value_pair_d_b").fetchall()
    return {item["name"]: item["value"] for item in (json.loads(text) for (text,) in rows)}


def test_the_documents_sensor_does_what_it_shows(workspace: Workspace) -> None:
    workspace.make_key()
    code = sensor(SNIPPETS[0] + 'service.dispatch("docs.done", {"seen": service.get_value("seen").expire_timestamp})')
    workspace.add_sensor("docs", "KeySensor", code, trigger_types=DONE)
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start()
    (done,) = listener.wait_for("docs.done")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}000Z", done.payload["seen"])
    keys = stored(workspace)
    assert keys["docs.KeySensor:token"].startswith("3030303030")
    assert keys["docs.KeySensor:seen"] == '["a", "b"]'


CURSOR = """
import os
import signal
import time


class Pages(PollingSensor):
    def poll(self):
        def pages_after(cursor):
            return [range(cursor + 1, cursor + 4)]

{snippet}
"""


IDLE = """
class Pages(Sensor):
    def run(self):
        self.sensor_service.get_value("cursor")
"""


def reached(workspace: Workspace) -> int:
    """Return the cursor of the sensor Pages."""
    return int(stored(workspace).get("docs.Pages:cursor", 0))


def batches(workspace: Workspace) -> list[Any]:
    """Return the batches that are stored and not carried out."""
    return [batch for lease in workspace.documents("st2sensor_leases") for batch in lease.get("batches", ())]


@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.soak(minutes=2))])
def test_cursor_and_events_stay_together_however_often_the_container_is_killed(
    workspace: Workspace, rounds: int
) -> None:
    workspace.configure("restart_delay = 0.1")
    snippet = textwrap.indent(SNIPPETS[1], " " * 8)
    workspace.add_sensor(
        "docs", "Pages", CURSOR.format(snippet=snippet), trigger_types=[{"name": "item"}], poll_interval=0.002
    )
    workspace.reload_well()
    listener = workspace.listen()
    for round_ in range(rounds):
        container = workspace.start()
        count = len(listener.of("docs.item"))
        # Each time at another moment.
        listener.wait_for("docs.item", count + 10 + round_)
        if round_ % 2:
            for wrapper in container.wrappers().values():
                wrapper.kill()
        container.process.send_signal(signal.SIGKILL)
        container.process.wait()
    container = workspace.start()
    container.wait_for_log("docs.Pages started")
    before = reached(workspace)
    # Items of the earlier containers may still arrive, but only this one moves the cursor now.
    eventually("it goes on", lambda: reached(workspace) >= before + 20)
    assert container.stop() == 0
    # A batch in which the stop came is carried out at the sensor's next start, which adds no other.
    workspace.add_sensor("docs", "Pages", IDLE, trigger_types=[{"name": "item"}])
    workspace.reload_well()
    container = workspace.start()
    container.wait_for_log("docs.Pages started")
    eventually("no batch is left", lambda: batches(workspace) == [])
    assert container.stop() == 0
    while "for the next start" in container.log:
        container = workspace.start()
        container.wait_for_log("connected to")
        assert container.stop() == 0

    last = reached(workspace)
    everything = list(range(1, last + 1))
    eventually("all is delivered", lambda: {item.payload["id"] for item in listener.of("docs.item")} >= {*everything})
    by_id = {message.message_id: message.payload["id"] for message in listener.of("docs.item")}
    # In order but for what came again, and nothing twice but under the same message_id.
    assert sorted(by_id.values()) == everything
    assert list(by_id.values()) == sorted(by_id.values())


def test_changes_are_announced_with_secrets_masked(workspace: Workspace) -> None:
    workspace.make_key()
    body = """
    service = self.sensor_service
    service.set_value("count", "1")
    service.set_value("count", "1")
    service.set_value("count", "2")
    service.set_value("secret", "hush", encrypt=True)
    service.delete_value("count")
    service.compare_and_set("swap", None, "1")
    service.delete_value("missing")
    """
    workspace.add_sensor("docs", "KeySensor", sensor(body))
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start()
    listener.wait_for("core.st2.key_value_pair.delete")
    listener.wait_for("core.st2.key_value_pair.create", 3)
    created = [message.payload["object"] for message in listener.of("core.st2.key_value_pair.create")]
    assert [item["name"].partition(":")[2] for item in created] == ["count", "secret", "swap"]
    assert created[1]["value"] == "********"
    assert [key for key in created[0] if key != "id"] == [
        *("uid", "scope", "name", "value", "secret", "encrypted"),
    ]
    assert len(listener.of("core.st2.key_value_pair.update")) == 2
    (change,) = listener.of("core.st2.key_value_pair.value_change")
    assert (change.payload["old_object"]["value"], change.payload["new_object"]["value"]) == ("1", "2")
    assert len(listener.of("core.st2.key_value_pair.delete")) == 1


def test_no_triggers_where_they_are_turned_off(embedded: Workspace) -> None:
    embedded.configure("[datastore]\nemit_triggers = false")
    body = 'self.sensor_service.set_value("k", 1)\nself.sensor_service.dispatch("docs.done", {})'
    embedded.add_sensor("docs", "KeySensor", sensor(body), trigger_types=DONE)
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    listener.wait_for("docs.done")
    assert not listener.of("core.st2.key_value_pair.create")


AWAY = """
service = self.sensor_service
service.set_value("k", "v")
while True:
    began = time.monotonic()
    try:
        found = service.get_value("k")
        service.set_value("k", "v")
    except Exception as error:
        found = type(error).__name__
    service.dispatch("docs.done", {"found": found, "took": time.monotonic() - began})
    time.sleep(0.05)
"""


def own_server(folder: Path) -> MongoDB:
    if mongodb.executable() is None:
        missing("no mongod: install tests/requirements.txt, or put a mongod on PATH")
    return MongoDB(folder)


GIVES_UP = 3
"""Seconds after which a call gives up."""


@pytest.mark.parametrize("how", ["stopped", pytest.param("hanging", marks=pytest.mark.soak)])
def test_a_database_that_is_away_is_waited_for_and_is_never_none(
    folder: Path, tmp_path: Path, how: str, rabbit_server: Any
) -> None:
    server = own_server(tmp_path)
    server.start()
    workspace = Workspace(folder, database=server.url, messaging=rabbit_server.url, serializer="json")
    try:
        workspace.configure(f"[datastore]\ntimeout = {GIVES_UP}")
        workspace.add_sensor("docs", "KeySensor", sensor(AWAY), trigger_types=DONE)
        workspace.reload_well()
        listener = workspace.listen()
        workspace.start()
        listener.wait_for("docs.done", 3)
        process = psutil.Process(server.pid)
        if how == "stopped":
            server.stop()
        else:
            process.suspend()
        failed = eventually(
            "a call gives up",
            lambda: [seen for seen in listener.of("docs.done") if seen.payload["found"] == "DatastoreUnavailable"],
            LATER,
        )
        if how == "stopped":
            server.start()
        else:
            process.resume()
        count = len(listener.of("docs.done"))
        eventually(
            "it goes on",
            lambda: [seen for seen in listener.of("docs.done")[count:] if seen.payload["found"] == "v"],
            LATER,
        )
        assert failed[0].payload["took"] > 0.9 * GIVES_UP
        assert {seen.payload["found"] for seen in listener.of("docs.done")} == {"v", "DatastoreUnavailable"}
    finally:
        workspace.close()
        server.stop()


@pytest.mark.soak
def test_a_sensor_that_waits_for_the_database_stops_when_it_is_asked_to(folder: Path, tmp_path: Path) -> None:
    server = own_server(tmp_path)
    server.start()
    workspace = Workspace(folder, database=server.url, messaging="local://")
    try:
        code = """
        class KeySensor(Sensor):
            def run(self):
                self.sensor_service.dispatch("docs.done", {})
                while True:
                    self.sensor_service.get_value("k")

            def cleanup(self):
                print("cleaned up")
        """
        # Longer than anybody waits for the stop.
        patience = 10 * AT_LAST
        workspace.configure(f"stop_timeout = {patience:g}\n[datastore]\ntimeout = {patience:g}")
        workspace.add_sensor("docs", "KeySensor", code, trigger_types=DONE)
        workspace.reload_well()
        listener = workspace.listen()
        container = workspace.start()
        listener.wait_for("docs.done")
        server.stop()
        container.wait_for_log(f"the datastore's calls wait up to {patience:g} s")
        assert container.stop() == 0
        assert "cleaned up" in container.log
    finally:
        server.start()
        workspace.close()
        server.stop()


def test_what_is_denied_by_overrides_raises_in_that_pack_only(embedded: Workspace) -> None:
    embedded.make_key()
    (embedded.folder / "overrides").mkdir()
    denied = "st2sensor: {defaults: {global_write: deny, decrypt_global: deny}}\n"
    (embedded.folder / "overrides" / "docs.yaml").write_text(denied)
    body = """
    service = self.sensor_service
    found = []
    for call in (
        lambda: service.set_value("shared", "1", local=False, encrypt=True),
        lambda: service.get_value("shared", local=False, decrypt=True),
        lambda: service.set_value("free.KeySensor:k", "1", local=False),
    ):
        try:
            found.append(call())
        except PermissionError as error:
            found.append(str(error))
    service.dispatch("{}.done", {{"found": found}})
    """
    for pack in ("free", "docs"):
        embedded.add_sensor(pack, "KeySensor", sensor(body.format(pack)), trigger_types=DONE)
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    (free,) = listener.wait_for("free.done")
    (docs,) = listener.wait_for("docs.done")
    assert free.payload["found"] == [True, "1", True]
    assert ["global_write is deny" in docs.payload["found"][0], "decrypt_global is deny" in docs.payload["found"][1]]
    assert "a key that begins with PACK.CLASS: belongs to that sensor" in docs.payload["found"][2]


def test_the_key_is_nowhere_in_a_sensor_nor_in_a_log(workspace: Workspace) -> None:
    if os.geteuid() != 0:
        pytest.skip("the memory of another process is root's to read: run the tests as root")
    path = workspace.make_key()
    fields = json.loads(path.read_text())
    body = """
    service = self.sensor_service
    service.set_value("token", "hush", encrypt=True)
    assert service.get_value("token", decrypt=True) == "hush"
    service.dispatch("docs.done", {})
    time.sleep(1000)
    """
    workspace.add_sensor("docs", "KeySensor", sensor(body), trigger_types=DONE)
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start("--debug")
    listener.wait_for("docs.done")
    keys = [fields["aesKeyString"], fields["hmacKey"]["hmacKeyString"]]
    needles = [key.encode() for key in keys] + [base64.urlsafe_b64decode(key + "=") for key in keys]
    sensors = eventually(
        "both have their titles",
        lambda: found if len(found := [*container.wrappers().values(), *container.zygotes()]) == 2 else [],
    )
    for process in sensors:
        folder = Path(f"/proc/{process.pid}")
        held = [(folder / name).read_bytes() for name in ("environ", "cmdline")] + list(memory_of(process.pid))
        assert not [needle for needle in needles for data in held if needle in data]
        assert str(path) not in {str(link.readlink()) for link in (folder / "fd").iterdir()}
    # What looks for it finds it where it is.
    assert any(needles[0] in data or needles[2] in data for data in memory_of(container.process.pid))
    assert not [key for key in keys if key in container.log]
    assert "hush" not in container.log


def memory_of(pid: int) -> list[bytes]:
    """What a process has in writable memory."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            if mode.startswith("rw"):
                start, end = (int(part, 16) for part in place.split("-"))
                memory.seek(start)
                try:
                    found.append(memory.read(end - start))
                except OSError:
                    continue
    return found


def test_another_user_can_read_neither_key_nor_the_containers_memory(embedded: Workspace) -> None:
    path = embedded.make_key()
    assert path.stat().st_mode & 0o777 == 0o600
    embedded.add_sensor("docs", "KeySensor", sensor("time.sleep(1000)"))
    embedded.reload_well()
    container = embedded.start()
    eventually("it runs", container.wrappers)
    status = Path(f"/proc/{container.process.pid}/maps").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)


# The commands.


def key(workspace: Workspace, *arguments: str) -> Any:
    return workspace.run("st2sensor", "--config-file", str(workspace.config), "key", *arguments)


def test_the_documents_commands_do_what_they_say(workspace: Workspace) -> None:
    workspace.make_key()
    workspace.reload_well()
    listener = workspace.listen()
    section = DOCUMENT.partition("## From the command line")[2]
    (workspace.folder / "keys.yaml").write_text(section.partition("```yaml\n")[2].partition("```")[0])
    outputs = {}
    for line in re.findall(r"^    st2sensor key (.*)$", section, re.MULTILINE):
        done = key(workspace, *line.split())
        assert done.returncode == 0, done.stderr
        outputs[line] = done.stdout
    assert outputs["set github.token hush --encrypt"] == "github.token is stored\n"
    assert "hush" in outputs["get github.token --decrypt"]
    assert "********" in outputs["list --prefix git"]
    assert "hush" not in outputs["list --prefix git"]
    assert [item["name"] for item in json.loads(outputs["list --scope all --json"])] == ["github.token", "lock"]
    assert outputs["load keys.yaml"] == "3 keys are stored\n"
    keys = stored(workspace)
    assert (keys["github.org"], keys["stanley:greeting"]) == ("acme", "hello")
    assert keys["github.password"].startswith("3030303030")
    listener.wait_for("core.st2.key_value_pair.create", 5)
    listener.wait_for("core.st2.key_value_pair.delete")


def test_keys_are_rotated_as_the_document_says(embedded: Workspace) -> None:
    old = embedded.make_key()
    key(embedded, "set", "a", "hush", "--encrypt")
    key(embedded, "set", "b", "open")
    key(embedded, "set", "c", "lost", "--encrypt", "--ttl", "3600")
    old.rename(embedded.folder / "old.json")
    new = embedded.make_key()
    failed = key(embedded, "get", "a", "--decrypt")
    assert failed.returncode == 69
    assert "the secret a cannot be decrypted: it was encrypted with a key other than those" in failed.stderr
    failed = key(embedded, "reencrypt")
    assert failed.returncode == 1
    assert failed.stdout == "0 encrypted again, 0 already current\n"
    assert "a is not encrypted again: " in failed.stderr
    embedded.configure("[keyvalue]\nprevious_key_paths = old.json")
    before = stored(embedded)
    assert key(embedded, "reencrypt").stdout == "2 encrypted again, 0 already current\n"
    assert key(embedded, "reencrypt").stdout == "0 encrypted again, 2 already current\n"
    assert stored(embedded)["b"] == before["b"] == "open"
    embedded.configure()
    assert json.loads(key(embedded, "get", "a", "--decrypt", "--json").stdout)["value"] == "hush"
    assert json.loads(key(embedded, "get", "c", "--json").stdout)["expire_timestamp"] is not None
    assert new.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["get", "nothing"], 66, "there is no key nothing in scope st2kv.system"),
        (["delete", "nothing"], 66, "there is no key nothing"),
        (["set", "k", "v", "--encrypt"], 78, "there is no key at"),
        (["set", "k", "v", "--ttl", "-1"], 65, "ttl must be more than 0 seconds"),
        (["set", "", "v"], 65, "non-empty string"),
        (["load", "missing.yaml"], 65, "missing.yaml"),
        (["load", "bad.yaml"], 65, "bad.yaml:3: value is missing; add it: a text"),
        (["load", "number.yaml"], 65, "the value of n is not text: quote it, or add --convert to store it as JSON"),
        (["load", "mapping.yaml"], 65, "must be a list of mappings with name and value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_stores_nothing(
    embedded: Workspace, arguments: list[str], code: int, reason: str
) -> None:
    (embedded.folder / "bad.yaml").write_text("- name: a\n  value: b\n- name: c\n")
    (embedded.folder / "number.yaml").write_text("- name: a\n  value: b\n- name: n\n  value: 5\n")
    (embedded.folder / "mapping.yaml").write_text("name: value\n")
    done = key(embedded, *arguments)
    assert done.returncode == code, done.stderr
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert json.loads(key(embedded, "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{name: b, value: hush, secret: true}", "there is no key at"),
        ("{name: b, value: '3030', encrypted: true}", "there is no key at"),
        (f"{{name: {'x' * 1020}, value: v, scope: user}}", "bytes is too long"),
        (f"{{name: b, value: v, ttl: 1{'0' * 350}}}", "ttl is too long"),
    ],
    ids=lambda text: text[:20],
)
def test_nothing_of_a_file_is_loaded_unless_all_of_it_can_be(embedded: Workspace, second: str, reason: str) -> None:
    (embedded.folder / "k.yaml").write_text(f"- {{name: a, value: open}}\n- {second}\n")
    done = key(embedded, "load", "k.yaml")
    assert done.returncode != 0
    assert reason in done.stderr
    assert stored(embedded) == {}


def test_what_is_shown_is_what_is_stored(embedded: Workspace) -> None:
    assert key(embedded, "set", "docs.S:key:1", "host:100:x :warning: [bold]").returncode == 0
    for shown in (key(embedded, "list"), key(embedded, "get", "docs.S:key:1")):
        assert "docs.S:key:1" in shown.stdout
        assert "host:100:x :warning: [bold]" in shown.stdout


@pytest.mark.soak
def test_an_answer_that_is_too_long_is_refused(embedded: Workspace) -> None:
    body = """
    service = self.sensor_service
    for number in range(17):
        service.set_value(f"k{number}", "x" * 4 * 1024 * 1024)
    try:
        service.list_values()
    except ValueError as error:
        service.dispatch("docs.done", {"error": str(error), "names": len(service.list_values(limit=3))})
    """
    embedded.configure("[datastore]\nemit_triggers = false")
    embedded.add_sensor("docs", "KeySensor", sensor(body), trigger_types=DONE)
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    (done,) = listener.wait_for("docs.done", timeout=LATER)
    assert "ask for less, as with limit" in done.payload["error"]
    assert done.payload["names"] == 3


def test_what_is_no_text_is_loaded_as_json_when_asked(embedded: Workspace) -> None:
    (embedded.folder / "k.yaml").write_text("- {name: a, value: {b: [1, null]}}\n")
    assert key(embedded, "load", "k.yaml", "--convert").returncode == 0
    assert stored(embedded) == {"a": '{"b": [1, null]}'}


def test_a_key_file_is_never_overwritten_and_nobody_elses(embedded: Workspace) -> None:
    path = embedded.make_key()
    before = path.read_text()
    done = embedded.run("st2-generate-symmetric-crypto-key", "--key-path", str(path))
    assert done.returncode == 73
    assert "already exists" in done.stderr
    assert path.read_text() == before
    done = embedded.run("st2-generate-symmetric-crypto-key", "--key-path", str(embedded.folder / "no" / "key"))
    assert done.returncode == 74
    assert f"{embedded.folder / 'no' / 'key'}: No such file or directory" in done.stderr
