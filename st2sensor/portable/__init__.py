"""What runs in a pack's interpreter too: standard library only, CPython 3.9."""
