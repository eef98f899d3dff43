import hashlib
import hmac
import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from optsync.config.load import load
from optsync.connect.redact import Redactor
from optsync.logs import configure, redactor_of
from tests.cli.desk import Desk


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def entries(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_addresses_become_short_hashes_and_secrets_stars_wherever_they_stand(stream: io.StringIO) -> None:
    redactor = Redactor(["s3cr3t-word"], key=b"k")
    configure(stream=stream, redactor=redactor, form="json")
    log = structlog.get_logger()
    log.info("to ann@example.com", nested={"bob@example.com": ["s3cr3t-word", Path("ann@example.com")]}, count=3)
    [entry] = entries(stream)
    assert "example.com" not in stream.getvalue()
    assert "s3cr3t" not in stream.getvalue()
    assert entry["event"] == f"to {redactor.address('ann@example.com')}"
    assert entry["count"] == 3


def test_tracebacks_and_other_libraries_are_cleaned_too(stream: io.StringIO) -> None:
    configure(stream=stream, redactor=Redactor(["s3cr3t-word"], key=b"k"), form="json")
    try:
        int("ann@example.com s3cr3t-word")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("some.library").exception("failed for ann@example.com")
    assert len(entries(stream)) == 2
    assert "ValueError" in stream.getvalue()
    assert "ann@" not in stream.getvalue()
    assert "s3cr3t" not in stream.getvalue()


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_holds_back_what_lies_below_it(stream: io.StringIO, level: str, count: int) -> None:
    configure(stream=stream, level=level, form="json")
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert len(entries(stream)) == count


def test_the_form_for_people_is_no_json(stream: io.StringIO) -> None:
    configure(stream=stream, form="console")
    structlog.get_logger().info("sync ended", sync="newsletter")
    assert "sync ended" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_before_there_is_a_key_a_stand_in_cannot_be_made_by_who_guesses_the_address(lonely: Desk) -> None:
    lonely.write(secret_keys=[])
    stand_in = redactor_of(load(lonely.path, {})).address("ann@example.com")
    unkeyed = hmac.new(b"", b"ann@example.com", hashlib.sha256).hexdigest()
    assert not unkeyed.startswith(stand_in[1:])
    assert stand_in == redactor_of(load(lonely.path, {})).address("ann@example.com"), "the same within one process"


def test_every_secret_of_a_configuration_is_known(lonely: Desk) -> None:
    lonely.write(state={"url": "postgresql://user:pass-w0rd@127.0.0.1/x"}, web={"tokens": ["t0ken-of-the-api"]})
    redactor = redactor_of(load(lonely.path, {}))
    systems = lonely.document["systems"]
    webhook = systems["crm"]["webhook_url"]
    secret = webhook.rstrip("/").rpartition("/")[2]
    text = f"{systems['mc']['api_key']} {webhook} .../{secret}/x pass-w0rd t0ken-of-the-api a secret of the tests"
    cleaned = redactor.secrets(text)
    for canary in (systems["mc"]["api_key"], secret, "pass-w0rd", "t0ken", "a secret of the tests"):
        assert canary not in cleaned
