"""What a line of the log looks like: text for people, or JSON for machines, on stderr.

A message may quote what a client sent, so control characters are written as escapes:
nobody forges a line or drives a terminal through the log.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["configure"]

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def configure(level: str, form: str) -> None:
    """Send every log record of this level and above to stderr, in one form: text or json."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it has a line for each bad request
    logging.getLogger("websockets").setLevel(logging.WARNING)  # and this one every connection's


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname.lower():7} {record.name}: {_message(record)}"
        return "\n".join([head, *_traceback(self, record)])


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if trace := _traceback(self, record):
            line["traceback"] = trace[0]
        return json.dumps(line)


def _time(record: logging.LogRecord) -> str:
    when = datetime.fromtimestamp(record.created, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z"


def _message(record: logging.LogRecord) -> str:
    return record.getMessage().translate(_ESCAPES)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    return [formatter.formatException(record.exc_info)] if record.exc_info else []
