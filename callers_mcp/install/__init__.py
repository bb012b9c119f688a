"""Adds this server to the configuration of MCP hosts, and removes it."""
