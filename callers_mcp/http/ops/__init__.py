"""Operation of the hosted server: audit log, metrics, rate limit, readiness."""
