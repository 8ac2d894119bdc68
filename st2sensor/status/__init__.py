"""The status page, health and metrics of a container over HTTP. Loaded only if configured."""
