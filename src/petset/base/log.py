"""Log lines: JSON for machines or text for people, on the standard library's logging.

Invariant: one record is one line (tracebacks are escaped in JSON, indented in text).
"""

import logging
import sys
from datetime import UTC, datetime
from typing import IO, Literal

import orjson

Format = Literal["json", "text"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LETTERS = {"DEBUG": "D", "INFO": "I", "WARNING": "W", "ERROR": "E", "CRITICAL": "F"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {k: v for k, v in vars(record).items() if k not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    stamp = datetime.fromtimestamp(record.created, UTC)
    return stamp.isoformat(timespec="microseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, msg, the record's extra fields, error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """`I 2026-01-01T00:00:00.000000Z petset.node: text key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with an indented traceback behind it if there is one."""
        letter = _LETTERS.get(record.levelname, "?")
        text = record.getMessage().replace("\n", "\n    ")
        extra = "".join(f" {k}={v}" for k, v in _fields(record).items())
        line = f"{letter} {_time(record)} {record.name}: {text}{extra}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).replace("\n", "\n    ")
            line = f"{line}\n    {trace}"
        return line


def setup(form: Format = "text", *, level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Send the records of the whole process to `stream` (stderr), replacing earlier handlers."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    _forget_unused()


def _forget_unused() -> None:
    """Do not collect what no line shows: finding the caller is most of the cost of a record.

    The switches are those that the library's documentation names for this ("Optimization").
    """
    logging._srcfile = None
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)
