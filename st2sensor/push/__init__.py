"""Push: sends events of the history to HTTP targets, at least once, and in order for each sensor."""
