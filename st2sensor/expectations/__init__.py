"""How long sensors may be quiet: the rule that decides when a sensor is silent, and the proposal of values."""
