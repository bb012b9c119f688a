"""Authentication of callers: bearer tokens, the token file, OAuth."""
