"""The parent daemon: starts, watches and stops sensors, and holds the connections and secrets that sensors need.

Modules, from the top: `supervisor` runs the loop; `assembly` builds the `parts`; `node` answers the wrapper protocol's
methods; `targets` says which sensors should run, and `lifetime` says how long the container runs. Below them are the
folders `operators`, `supervision`, `sessions`, `desired` and `launch`, in the order of imports.

docs/architecture.md lists every thread of the container's process. "The loop" is the main thread's asyncio loop.
Objects that say "for the loop's thread" belong to it alone; every other thread reaches them through `call_in_loop`, or
as the result of an executor.

Any thread may use `Outbox.submit`, `Session.answer`, `Session.refuse`, `HeldLeases`, `Node.is_stopping` and
`Broadcast.is_watched`.
"""
