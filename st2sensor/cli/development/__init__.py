"""The parts of `st2sensor dev`."""
