"""The outside: the Callers API over HTTP, what can go wrong there, and how its JSON is read."""
