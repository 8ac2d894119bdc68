"""What tests share: machinery that knows no single claim."""
