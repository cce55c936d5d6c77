"""Python models of the Triton repository: copied as they are, run by the server."""
