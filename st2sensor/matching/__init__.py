"""Decides whether a rule matches an event, as StackStorm's rules engine would, and why not. Pure: no I/O.

Patterns may make a comparison endless, so call it in a worker process.
"""
