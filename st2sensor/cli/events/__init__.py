"""Events as commands see, store and send them."""
