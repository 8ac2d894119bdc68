"""Processes that do what foreign content may make endless: each task has a deadline, each process a limit on memory.

A `Pool` starts them when they are needed. They run named functions of a fixed table, and are spoken to in JSON.
"""
