"""Homes with a host in them, each with a realistic configuration."""

from pathlib import Path

import pytest

from tests.support.install_home import FORMATS, WRITABLE, Home


@pytest.fixture(params=WRITABLE)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home for each host whose configuration the command writes."""
    return Home(tmp_path, request.param).put_realistic()


@pytest.fixture(params=FORMATS)
def each_format(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home for each format of configuration, for tests in which hosts of one format behave alike."""
    return Home(tmp_path, request.param).put_realistic()


@pytest.fixture
def cursor(tmp_path: Path) -> Home:
    """A home with one host, for tests in which all hosts behave alike."""
    return Home(tmp_path, "cursor").put_realistic()
