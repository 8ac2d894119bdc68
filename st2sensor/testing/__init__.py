"""For the tests of packs. Standard library only, CPython 3.9: they run in a pack's own interpreter."""
