"""How long sensors may be quiet: the rule that says when one is silent, and the proposal of values."""
