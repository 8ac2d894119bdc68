"""StackStorm's name for what sensors derive from."""
