"""Explains what happened to an event: from its sensor to the broker, to StackStorm's rules, and to their actions.

Everything here only reads, and every wait has a deadline.
"""
