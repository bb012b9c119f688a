"""Entries for this server in the configuration of other programs."""
