"""The HTTP API for consumers: events as CloudEvents, and the trigger types with their schemas."""
