"""The server side of the wrapper protocol: the container answers its sensors' processes."""
