"""Fixtures of tests of scans."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sites import Site, open_site


@pytest.fixture
async def site(migrated_dsn: str) -> AsyncIterator[Site]:
    async with open_site(migrated_dsn) as site:
        yield site
