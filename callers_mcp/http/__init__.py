"""The hosted server: many callers over Streamable HTTP, with authentication, access limits and monitoring."""
