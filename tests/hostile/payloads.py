"""Hostile payloads and schemas."""

from __future__ import annotations

from tests.hostile.case import SECRET, Case, dispatching, polling, running

TOO_LONG = r"payload_schema of hostile\.event took more than 2 s"

PAYLOADS = [
    Case(
        name="a catastrophic pattern",
        schema={"properties": {"s": {"type": "string", "pattern": "^(a+)+$"}}},
        code=dispatching(f"{{'s': 'a' * 60 + '!', 'password': '{SECRET}'}}"),
        said=TOO_LONG,
    ),
    Case(
        name="a catastrophic name of properties",
        schema={"patternProperties": {"^(a|a)*$": {"type": "string"}}},
        code=dispatching("{'a' * 60 + '!': 1}"),
        said=TOO_LONG,
    ),
    Case(
        name="items that have to be unique",
        schema={"properties": {"l": {"type": "array", "uniqueItems": True}}},
        # The last item occurs twice: only then are all items compared with each other.
        code=dispatching("{'l': [{'n': n} for n in range(20000)] + [{'n': 19999}]}"),
        said=TOO_LONG,
    ),
    Case(
        name="a thousand alternatives",
        schema={
            "items": {"anyOf": [{"required": [str(n)]} for n in range(500)]},
            "type": "object",
            "additionalProperties": {"items": {"anyOf": [{"required": [str(n)]} for n in range(2000)]}},
        },
        code=dispatching("{'l': [{'x': 1}] * 20000}"),
        said=TOO_LONG,
    ),
    Case(
        name="alternatives of alternatives",
        schema={
            "definitions": {
                "t": {
                    "anyOf": [
                        {"properties": {"c": {"$ref": "#/definitions/t"}}, "required": ["a"]},
                        {"properties": {"c": {"$ref": "#/definitions/t"}}, "required": ["b"]},
                    ]
                }
            },
            "properties": {"c": {"$ref": "#/definitions/t"}},
        },
        code=polling(
            "payload = {}\nfor _ in range(60):\n    payload = {'c': payload}\n"
            'self.sensor_service.dispatch("hostile.event", payload)'
        ),
        said=r"payload_schema of hostile\.event",
    ),
    Case(
        name="slow checks in many threads and in a grandchild",
        schema={"properties": {"s": {"type": "string", "pattern": "^(a+)+$"}}},
        code=running(
            """
def one():
    while True:
        self.sensor_service.dispatch("hostile.event", {"s": "a" * 60 + "!"})

for _ in range(20):
    threading.Thread(target=one, daemon=True).start()
if os.fork() == 0:
    one()
one()
""",
            "os, threading",
        ),
        said=TOO_LONG,
    ),
    Case(name="a payload of 30 MB", code=dispatching("{'x': 'x' * 30_000_000}"), said="max_payload"),
    Case(
        name="a payload of 100 MB",
        code=dispatching("{'x': 'x' * 100_000_000}"),
        said="bytes, too many to be sent",
    ),
    Case(
        name="five million lists",
        code=dispatching("{'l': [[]] * 5_000_000}"),
        schema={"properties": {"l": {"type": "array"}}},
        said=r"hostile\.event",
    ),
    Case(
        name="deep nesting",
        code=polling(
            "payload = {}\nfor _ in range(100_000):\n    payload = {'c': payload}\n"
            'self.sensor_service.dispatch("hostile.event", payload)'
        ),
        said="nested too deeply",
    ),
    Case(
        name="a key of a megabyte",
        code=dispatching("{'k' * 1_000_000: 1}"),
        schema={"additionalProperties": False},
        said="which the schema lacks",
    ),
    Case(
        name="surrogates, NUL and large numbers",
        code=dispatching("{'\\ud800': '\\x00', 'n': 10**400, 's': 'a\\udfff'}"),
        schema={"properties": {"n": {"type": "string"}}},
        said="n: is of type integer",
        quick=True,
    ),
    Case(
        name="a secret that does not fit",
        schema={"properties": {"password": {"type": "integer", "enum": [1]}}},
        code=dispatching(f"{{'password': '{SECRET}'}}"),
        said="password: ",
        quick=True,
    ),
    Case(
        name="a trigger of half a megabyte",
        code=polling('self.sensor_service.dispatch({"name": "x" * 500_000, "pack": "hostile"}, {})'),
        said="is not registered",
    ),
    Case(
        name="a trace tag of two megabytes",
        code=polling('self.sensor_service.dispatch("hostile.event", {}, trace_tag="x" * 2_000_000)'),
        said="2000156 bytes are too many for one message",
    ),
]
