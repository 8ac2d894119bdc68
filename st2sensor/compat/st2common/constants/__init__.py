"""StackStorm's names for fixed values."""
