"""What `st2sensor dev` is made of."""
