"""A simulated Callers API with sample campaigns, on a loopback port: for the demo, the tests and ``--sandbox``."""

from callers_mcp.sandbox.samples import MISSING_ID, ORGANIZATION_ID, SAMPLES, SUB_ORGANIZATION_ID, sample_ids
from callers_mcp.sandbox.server import API_KEY, Sandbox

__all__ = ["API_KEY", "MISSING_ID", "ORGANIZATION_ID", "SAMPLES", "SUB_ORGANIZATION_ID", "Sandbox", "sample_ids"]
