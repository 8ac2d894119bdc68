"""StackStorm's names for the helpers of packs' tests."""
