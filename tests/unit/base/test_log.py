import io
import logging
import warnings
from collections.abc import Iterator

import orjson
import pytest

from petset.base import log


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def _fail() -> None:
    raise KeyError("oops\nagain")


def test_json_lines_hold_fields_and_errors() -> None:
    stream = io.StringIO()
    log.setup("json", stream=stream)
    logger = logging.getLogger("petset.x")
    logger.info("hello %s", "you", extra={"pod": "web-0", "odd": {1, 2}})
    logger.debug("hidden")
    try:
        _fail()
    except KeyError:
        logger.exception("bad")
    first, second = (orjson.loads(line) for line in stream.getvalue().splitlines())
    assert first["msg"] == "hello you"
    assert first["level"] == "info"
    assert first["logger"] == "petset.x"
    assert first["pod"] == "web-0"
    assert first["odd"] == "{1, 2}"
    assert first["ts"].endswith("Z")
    assert "KeyError" in second["error"]


def test_text_lines_are_indented_behind_the_first() -> None:
    stream = io.StringIO()
    log.setup("text", level="debug", stream=stream)
    logger = logging.getLogger("petset.x")
    logger.debug("two\nlines", extra={"pod": "web-0"})
    try:
        _fail()
    except KeyError:
        logger.exception("bad")
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("D 20")
    assert lines[1] == "    lines pod=web-0"
    heads = [line for line in lines if not line.startswith(" ")]
    assert len(heads) == 2


def test_setting_up_again_replaces_the_handler_and_warnings_are_logged() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.setup(stream=first)
    log.setup(stream=second)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.setup(stream=second)
        warnings.warn("careful", stacklevel=1)
    assert first.getvalue() == ""
    assert "careful" in second.getvalue()
