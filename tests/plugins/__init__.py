"""What is plugged into pytest: patience, shared servers, the clock of soak, profiles, logs of red tests."""
