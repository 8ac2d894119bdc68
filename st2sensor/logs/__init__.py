"""The container's log."""
