"""The parent daemon: starts, watches and stops sensors, and holds the connections and secrets that sensors need.

Modules, from the top: `supervisor` runs the loop; `assembly` builds the `parts`; `node` answers the wrapper protocol's
methods; `targets` says which sensors should run, and `lifetime` says how long the container runs. Below them are the
folders `operators`, `supervision`, `sessions`, `desired` and `launch`, in the order of imports.

The table lists every thread of the container's process. "The loop" is the main thread's asyncio loop. Objects that say
"for the loop's thread" belong to it alone; every other thread reaches them through `call_in_loop`, or as the result of
an executor.

| thread              | started by                        | may touch                                                |
|---------------------|-----------------------------------|----------------------------------------------------------|
| main                | `cli.daemon.serve`                | everything "for the loop's thread"; it never blocks      |
| storage_0 .. 3      | `cli.daemon.serve`                | `Storage`, to read snapshots                             |
| files_0             | `assembly`                        | files of packs, /proc; the oldest row of the outbox      |
| configurations_0, 1 | `sessions.assignments`            | `Storage`, `Keyring`, workers that render templates      |
| datastore-1 .. 8    | `sessions.datastore.call_threads` | `SensorKeys`, `Tenure`; answers sessions                 |
| leases_0            | `desired.membership`              | `Participant`, and through it the leases in the database |
| watch               | `desired.watch`                   | its connection to the broker; marks storage as changed   |
| check-..._0 ..      | `dispatch.checker`                | worker processes that check payloads                     |
| outbox              | `outbox.writer`                   | writes outbox.db; calls back for entries on disk         |
| publisher           | `delivery.publisher`              | reads the outbox, publishes, and confirms rows           |
| adoption            | `delivery.adoption`, once         | outboxes that other containers have left behind          |
| resolve-...         | `transport.amqp.sockets`, per try | the system's resolver of host names                      |

Any thread may use `Outbox.submit`, `Session.answer`, `Session.refuse`, `HeldLeases`, `Node.is_stopping` and
`Broadcast.is_watched`.
"""
