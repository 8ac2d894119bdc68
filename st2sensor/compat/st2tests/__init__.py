"""StackStorm's names for what packs test with."""
