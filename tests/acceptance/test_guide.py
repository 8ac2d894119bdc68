"""What StackStorm's guide to sensors promises, each example in a real sensor."""

from __future__ import annotations

from tests.support.workspace import ROOT, Workspace

SERVICE = """
import json
import uuid


class Guide(Sensor):
    def run(self):
        service = self.sensor_service
        found = {}

        trigger = "guide.event"
        payload = {"executed_at": "2014-08-01T00:00:00.000000Z"}
        trace_tag = uuid.uuid4().hex
        found["returned"] = service.dispatch(trigger=trigger, payload=payload, trace_tag=trace_tag)

        self._logger = service.get_logger(name=self.__class__.__name__)
        self._logger.debug("Polling 3rd party system for information")
        self._logger.warning("Something is odd")

        service.set_value("cmdb.api_host", "example.net", local=False)
        service.set_value("cmdb.api_port", 443, local=False)
        kvps = service.list_values(local=False, prefix="cmdb.")
        found["listed"] = [[kvp.name, kvp.value] for kvp in kvps]

        kvp = service.get_value("cmdb.api_host", local=False)
        found["got"] = [kvp.name, kvp.value, kvp, kvp.secret, kvp.expire_timestamp]
        found["missing"] = service.get_value("cmdb.api_host")

        last_id = 12345
        found["set"] = service.set_value(name="last_id", value=str(last_id))
        found["number"] = int(service.get_value("last_id")) + 1
        service.set_value("json", json.dumps({"a": 1}))
        found["json"] = json.loads(service.get_value("json"))
        service.set_value("dict", {"a": 1})
        found["dict"] = service.get_value("dict")

        found["deleted"] = [service.delete_value(name="last_id"), service.delete_value(name="last_id")]
        found["user"] = service.get_user_info()["username"]
        found["config"] = self._config

        ma_password = 'Sup3rS34et'
        service.set_value(name='ma_password', value=ma_password, encrypt=True)
        kvp = service.get_value('ma_password', decrypt=True)
        found["secret"] = [kvp.name, kvp, kvp.secret, kvp.encrypted]
        found["ciphertext"] = service.get_value('ma_password')[:10]
        service.set_value("brief", "y", ttl=100000)
        found["expires"] = service.get_value("brief").expire_timestamp[-1]
        try:
            service.dispatch("guide.event", {"bad": object()})
        except TypeError as error:
            found["not json"] = str(error)
        service.dispatch(trigger="guide.found", payload=found)
"""


def test_every_method_of_the_sensor_service_does_what_the_guide_says(workspace: Workspace) -> None:
    workspace.add_sensor("guide", "Guide", SERVICE, trigger_types=[{"name": "event"}, {"name": "found"}])
    (workspace.folder / "configs").mkdir()
    (workspace.folder / "configs" / "guide.yaml").write_text("api: {key: value}\n")
    workspace.make_key()
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()

    (event,) = listener.wait_for("guide.event")
    assert event.payload == {"executed_at": "2014-08-01T00:00:00.000000Z"}
    assert len(event.body["trace_context"]["trace_tag"]) == 32
    (message,) = listener.wait_for("guide.found")
    assert message.payload == {
        "returned": None,
        "listed": [["cmdb.api_host", "example.net"], ["cmdb.api_port", "443"]],
        "got": ["cmdb.api_host", "example.net", "example.net", False, None],
        "missing": None,
        "set": True,
        "number": 12346,
        "json": {"a": 1},
        "dict": "{'a': 1}",
        "deleted": [True, False],
        "user": "stanley",
        "config": {"api": {"key": "value"}},
        "secret": ["guide.Guide:ma_password", "Sup3rS34et", True, False],
        "ciphertext": "3030303030",
        "expires": "Z",
        "not json": "payload['bad'] cannot be dispatched: its type is object; convert it to a JSON type",
    }
    container.wait_for_log("WARNING guide.Guide.Guide: Something is odd")
    assert "Polling 3rd party" not in container.log


RECORDER = """
import threading
import time


class Recorder(Sensor):
    def setup(self):
        self.events = ["setup"]
        self.inside = 0

    def run(self):
        time.sleep(1000)

    def note(self, event, trigger):
        self.inside += 1
        assert self.inside == 1
        time.sleep(0.05)
        self.inside -= 1
        fields = {key: trigger[key] for key in sorted(trigger)}
        self.sensor_service.dispatch("guide.heard", {"event": event, "trigger": fields, "events": len(self.events)})

    def add_trigger(self, trigger):
        self.note("add", trigger)

    def update_trigger(self, trigger):
        self.note("update", trigger)

    def remove_trigger(self, trigger):
        self.note("remove", trigger)
"""

ASKED = {"name": "asked", "parameters_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}


def test_triggers_that_exist_reach_add_trigger_after_setup_one_at_a_time(workspace: Workspace) -> None:
    workspace.add_sensor("guide", "Recorder", RECORDER, trigger_types=[ASKED, {"name": "heard"}])
    for number in range(3):
        workspace.add_rule("rules", f"rule{number}", "guide.asked", n=number)
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start()

    heard = listener.wait_for("guide.heard", 4)
    added = {message.payload["trigger"]["type"]: message.payload["trigger"] for message in heard}
    assert {message.payload["event"] for message in heard} == {"add"}
    assert all(message.payload["events"] == 1 for message in heard)
    assert set(added["guide.asked"]) == {"id", "uid", "ref", "name", "pack", "type", "parameters"}
    parameters = [message.payload["trigger"]["parameters"] for message in heard]
    assert sorted(item["n"] for item in parameters if item) == [0, 1, 2]

    workspace.add_rule("rules", "rule0", "guide.asked", n=10)
    (workspace.packs / "rules" / "rules" / "rule1.yaml").unlink()
    workspace.reload_well()
    later = [message.payload for message in listener.wait_for("guide.heard", 6)[4:]]
    by_event = {item["event"]: item["trigger"]["parameters"]["n"] for item in later}
    assert by_event == {"update": 10, "remove": 1}


def test_a_callback_without_a_parameter_and_one_that_fails_do_no_harm(embedded: Workspace) -> None:
    embedded.add_sensor(
        "guide",
        "Odd",
        """
        import time

        class Odd(Sensor):
            def run(self):
                time.sleep(1000)
            def add_trigger(self, trigger):
                raise RuntimeError("cannot add")
            def remove_trigger(self):
                self.sensor_service.dispatch("guide.heard", {})
        """,
        trigger_types=[ASKED, {"name": "heard"}],
    )
    rule = embedded.add_rule("rules", "rule", "guide.asked", n=1)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    container.wait_for_log("RuntimeError: cannot add")
    rule.unlink()
    embedded.reload_well()
    listener.wait_for("guide.heard")
    assert container.log.count("guide.Odd started") == 1


def test_dispatch_from_many_threads_of_one_sensor_loses_nothing(workspace: Workspace) -> None:
    workspace.add_sensor(
        "guide",
        "Threads",
        """
        import threading

        class Threads(Sensor):
            def run(self):
                def work(first):
                    for n in range(first, first + 50):
                        self.sensor_service.dispatch("guide.event", {"n": n})
                threads = [threading.Thread(target=work, args=(k * 50,)) for k in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        """,
        trigger_types=[{"name": "event"}],
    )
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start()
    numbers = [message.payload["n"] for message in listener.wait_for("guide.event", 400)]
    assert sorted(numbers) == list(range(400))
    for first in range(0, 400, 50):
        mine = [number for number in numbers if first <= number < first + 50]
        assert mine == sorted(mine)


def test_an_unknown_trigger_and_an_invalid_payload_raise_nothing_and_are_kept(embedded: Workspace) -> None:
    embedded.add_sensor(
        "guide",
        "Wrong",
        """
        class Wrong(Sensor):
            def run(self):
                self.sensor_service.dispatch("guide.unknown", {"n": 1})
                self.sensor_service.dispatch("guide.strict", {"n": "one"})
                self.sensor_service.dispatch("guide.strict", {"n": 1})
        """,
        trigger_types=[{"name": "strict", "payload_schema": {"properties": {"n": {"type": "integer"}}}}],
    )
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    (message,) = listener.wait_for("guide.strict")
    assert message.payload == {"n": 1}
    assert listener.of("guide.unknown") == []
    container.wait_for_log("kept as a dead letter: trigger guide.unknown is not registered")
    container.wait_for_log("kept as a dead letter: the payload does not fit the payload_schema of guide.strict")


def test_debug_shows_what_sensors_log_at_debug(embedded: Workspace) -> None:
    embedded.add_sensor(
        "guide",
        "Chatty",
        """
        import sys

        class Chatty(Sensor):
            def run(self):
                self.sensor_service.get_logger("mine").debug("deep down")
                print("printed")
                sys.stderr.write("half a line, ")
                sys.stderr.write("then whole\\n")
                sys.stdout.buffer.write(b"\\xff\\xfe binary\\n")
        """,
    )
    embedded.reload_well()
    container = embedded.start("--debug")
    container.wait_for_log("guide.Chatty finished")
    for line in (
        "DEBUG   guide.Chatty.mine: deep down",
        "INFO    guide.Chatty: printed",
        "INFO    guide.Chatty: half a line, then whole",
        " binary",
    ):
        container.wait_for_log(line)


def test_the_bundled_packs_hold_what_the_readme_says() -> None:
    assert sorted(path.name for path in (ROOT / "packs").iterdir()) == ["default", "examples", "linux"]
