"""The client of the Callers API: requests, errors, and strict reading of its JSON."""
