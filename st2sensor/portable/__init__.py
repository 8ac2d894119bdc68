"""Code that also runs in a pack's interpreter: standard library only, CPython 3.9."""
