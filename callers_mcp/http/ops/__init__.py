"""What an operator watches and limits: audit, metrics, rate limit, readiness."""
