"""Certificates for the key servers of these tests."""

from pathlib import Path

import pytest

from pints.demo.authority import Authority


@pytest.fixture
def ca(tmp_path: Path) -> tuple[Authority, str]:
    """A CA, and the file that makes a client trust it."""
    authority = Authority()
    return authority, str(authority.write(tmp_path))
