"""Plugins for pytest: patience, shared servers, the time limit of soak, durations, logs of failed tests."""
