"""StackStorm's name."""
