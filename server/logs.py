"""The server's log lines: `[TAG] words`, one event a line; names with control characters are escaped.

A logger's name is its tag; [WARN] and [ERROR] take the tag's place from those levels on.
"""

import json
import logging
import sys
import textwrap
from datetime import UTC, datetime
from typing import Final

from runtime.background_output import BackgroundOutput, lost_lines
from runtime.http_server import fault_of_peer
from runtime.standard_streams import STDOUT, encoding_of

SHOWN_CHARS: Final = 256

server = logging.getLogger("ringback.server")
client = logging.getLogger("ringback.client")
join = logging.getLogger("ringback.join")
leave = logging.getLogger("ringback.leave")
broadcast = logging.getLogger("ringback.broadcast")

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LineFormatter(logging.Formatter):
    """Writes `[JOIN] User Alice (ID: …) joined the chat from …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback of an exception."""
        line = f"[{tag_of(record)}] {words_of(record)}"
        return f"{line}\n{traceback_of(record)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """Writes a JSON object a line: `time`, `tag`, `message`, and `traceback` for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "tag": tag_of(record),
            "message": words_of(record),
        }
        if record.exc_info:
            fields["traceback"] = traceback_of(record)
        return json.dumps(fields, ensure_ascii=False)


class BadHttpFilter(logging.Filter):
    """Suppresses the tracebacks that aiohttp logs as errors for malformed requests and lost connections."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for these records, and log a line on debug level instead."""
        if (fault := fault_of_peer(record)) is not None:
            server.debug("Refused a malformed or incomplete request: %s", type(fault).__name__)
        return fault is None


class BackgroundHandler(logging.Handler):
    """Writes lines to a background output, whose `write` neither blocks nor raises."""

    def __init__(self, output: BackgroundOutput) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Format and write the record; an error in the formatting loses only this line."""
        try:
            self._output.write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)


def configure(log_format: str, level: str) -> None:
    """Write log lines to standard output, as `text` or `json`."""
    formatter = JsonFormatter() if log_format == "json" else LineFormatter()
    handler = BackgroundHandler(
        BackgroundOutput(STDOUT, lambda lines, why: formatter.format(lost(lines, why)), encoding_of(sys.stdout))
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("ringback").setLevel(LEVELS[level])
    # No log line shows its place in the code, thread or process, so that logging need not collect them
    # (https://docs.python.org/3/howto/logging.html#optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("aiohttp.server").addFilter(BadHttpFilter())


def lost(lines: int, why: str) -> logging.LogRecord:
    """Return the record that reports lines which could not be written."""
    return logging.LogRecord(server.name, logging.WARNING, "", 0, lost_lines(lines, why), (), None)


def tag_of(record: logging.LogRecord) -> str:
    """Return the tag of a record: its logger's name, or WARN or ERROR."""
    if record.levelno >= logging.ERROR:
        return "ERROR"
    if record.levelno >= logging.WARNING:
        return "WARN"
    return record.name.rpartition(".")[2].upper()


def words_of(record: logging.LogRecord) -> str:
    """Return the message with its values shortened to 256 characters and escaped."""
    if isinstance(record.args, tuple) and record.args:
        return str(record.msg) % tuple(_harmless(value) for value in record.args)
    return _escaped(record.getMessage())


def traceback_of(record: logging.LogRecord) -> str:
    """Return the traceback, indented, so that a line of an exception's text cannot look like an event."""
    lines = logging.Formatter().formatException(record.exc_info).splitlines()  # type: ignore[arg-type]  # it is set
    return textwrap.indent("\n".join(_escaped(line) for line in lines), "  ")


def _harmless(value: object) -> object:
    if isinstance(value, int | float):
        return value
    text = str(value)
    if len(text) > SHOWN_CHARS:
        text = text[: SHOWN_CHARS - 1] + "…"
    return _escaped(text)


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)
