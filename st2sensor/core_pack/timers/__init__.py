"""Fires timers: `core.st2.IntervalTimer`, `core.st2.DateTimer` and `core.st2.CronTimer`. In the sensor's process."""
