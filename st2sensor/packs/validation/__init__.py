"""Says all that is wrong with packs as far as it can be known without running them. For `st2sensor validate`."""
