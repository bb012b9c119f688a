"""Who calls a hosted server: bearer tokens, the token file, OAuth."""
