"""Runs public StackStorm packs, as they are, on this checkout: which sensors load, dispatch, and pass their own tests.

Packs are read from a folder and copied; none of their content is kept here, and they are not downloaded.
"""
