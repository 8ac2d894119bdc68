"""StackStorm's name for the package of the sensors' base classes."""
