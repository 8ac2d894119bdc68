"""The options of st2.conf: a module for each group of sections, and all of them in `sections`."""
