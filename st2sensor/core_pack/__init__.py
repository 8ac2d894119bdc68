"""The pack `core`, which every installation has: sensors for timers and webhooks.

`sensors/` holds only the sensor classes. Their work is done in the other folders.
"""
