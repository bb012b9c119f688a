"""The processes of a hosted server, and the bounds of its HTTP protocol."""
