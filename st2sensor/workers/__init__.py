"""Worker processes for tasks that untrusted content could keep running forever. Each task has a deadline, each process
a memory limit.

A `Pool` starts them when they are needed. They run functions of a fixed table, and exchange JSON with the pool.
"""
