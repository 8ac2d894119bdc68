"""The container as a process: starting, serving, stopping."""
