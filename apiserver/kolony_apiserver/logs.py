"""Logging: one line of JSON per event on standard error, without payloads, signatures or keys."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(*, verbose: bool, stream: TextIO | None = None) -> None:
    """Send all records of this process to standard error, or to another stream."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbose else logging.INFO, force=True)
    for noisy in ("uvicorn.error", "yoyo.migrations", "asyncio", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Each attempt to reach a database that is away; our own loops say so once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
