"""The container's log: how it is set up, and where it goes."""
