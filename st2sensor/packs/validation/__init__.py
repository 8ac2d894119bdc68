"""Finds every problem in packs that can be found without running them. For `st2sensor validate`."""
