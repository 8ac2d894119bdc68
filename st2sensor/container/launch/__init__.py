"""Starts the processes of sensors: forked by zygotes, or in the foreground."""
