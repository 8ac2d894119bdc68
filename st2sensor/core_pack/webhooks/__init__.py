"""Listens for webhooks: `core.st2.webhook`. In the sensor's process."""
