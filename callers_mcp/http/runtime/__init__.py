"""The processes of the hosted server, and the limits of its HTTP protocol."""
