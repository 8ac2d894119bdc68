"""The pack `core`, which every installation has: sensors for the triggers that rules build on.

Its sensors are ordinary ones. What they do is here, in folders of its own; `sensors/` holds no more than the classes.
"""
