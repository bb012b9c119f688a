"""Reads the metrics of a hosted server as Prometheus does."""

import re

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.constants import PATIENCE


def read_metrics(log: str) -> str:
    """Return the metrics from the address in a server's log."""
    found = re.search(r"http://127.0.0.1:[0-9]+/metrics", log)
    assert found, log
    return httpx2.get(found[0], trust_env=False, timeout=PATIENCE).text


def samples(port: int) -> dict[str, float]:
    """Return every series with a value other than 0, by its name and labels."""
    answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=PATIENCE)
    assert answer.status_code == 200
    return {
        f"{sample.name.removeprefix('callers_mcp_')}{''.join(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.value
    }
