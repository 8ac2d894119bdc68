"""Print each trigger that the sensors inject: the example of conf/compose.yaml for a program without StackStorm."""

import os

from kombu import Connection, Exchange, Queue

TRIGGERS = Exchange("st2.trigger_instances_dispatch", "topic", durable=True)
# Durable, and named after this program: it keeps what arrives while the program is down.
QUEUE = Queue("compose-consumer", TRIGGERS, routing_key="#", durable=True)

with Connection(os.environ["BROKER"]) as connection, connection.SimpleQueue(QUEUE) as triggers:
    while True:
        message = triggers.get()
        print(message.properties["message_id"], message.payload["trigger"], message.payload["payload"], flush=True)
        message.ack()
