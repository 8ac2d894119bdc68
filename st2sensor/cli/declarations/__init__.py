"""Names, parameters and help of the commands. Importing them loads only the code that --help needs."""
