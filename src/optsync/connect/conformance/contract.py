"""What code cannot show: declared facts, making, checking, describing, counting."""

import inspect
import logging
import re
import socket
import traceback
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from optsync.connect.conformance.desk import Desk, people, person
from optsync.connect.conformance.line import Trouble
from optsync.connect.contract import CanConfirmOptIn, Connector, OptInStamp, Severity
from optsync.connect.registry import POWERS
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.errors import CredentialsRefused, OptsyncError
from optsync.model.record import Side, Status

_REQUIRED = ("check", "describe", "read", "read_ids", "write", "close")


def _arguments(verb: Any) -> list[str]:
    return list(inspect.signature(verb).parameters)


def secrets_of(desk: Desk) -> list[str]:
    """Every long word in the secret settings, since a secret may be a part of an address; a secret without a long word
    as a whole."""
    made = desk.harness.connector.settings.model_validate(desk.harness.config.system)
    values = [getattr(made, name) for name in type(made).model_fields]
    secrets = filter(None, (value.get_secret_value() for value in values if isinstance(value, SecretStr)))
    return [word for secret in secrets for word in re.findall(r"[0-9A-Za-z]{10,}", secret) or [secret]]


class ContractChecks:
    """Declared facts and the verbs that read no records."""

    def test_it_is_a_connector_with_settings_of_its_sides(self, desk: Desk) -> None:
        kind = desk.harness.connector
        assert isinstance(desk.connector, Connector)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", kind.name)
        assert issubclass(kind.settings, SystemSettings)
        assert (kind.crm_side is not None) is (Side.CRM in kind.capabilities.sides)
        assert (kind.esp_side is not None) is (Side.ESP in kind.capabilities.sides)
        assert kind.crm_side is None or issubclass(kind.crm_side, CrmSide)
        assert kind.esp_side is None or issubclass(kind.esp_side, EspSide)
        assert desk.harness.side in kind.capabilities.sides

    def test_its_verbs_take_what_the_contract_says(self, desk: Desk) -> None:
        kind = desk.harness.connector
        wanted = {verb: _arguments(getattr(Connector, verb)) for verb in _REQUIRED}
        for power in POWERS:
            if issubclass(kind, power):
                wanted |= {verb: _arguments(getattr(power, verb)) for verb in vars(power) if not verb.startswith("_")}
        assert {verb: _arguments(getattr(kind, verb)) for verb in wanted} == wanted

    def test_its_capabilities_agree_with_each_other_and_with_its_powers(self, desk: Desk) -> None:
        able = desk.capabilities
        if desk.is_esp:
            assert {Status.IN, Status.OUT} <= able.statuses
            assert able.can_ask is (Status.PENDING in able.statuses)
        else:
            assert desk.spec.collection in able.entities
        assert min(able.read_page, able.write_batch, able.reread_batch) >= 1
        assert (able.opt_in_stamp is OptInStamp.NOMINATES) is issubclass(desk.harness.connector, CanConfirmOptIn)
        assert able.delta_misses
        assert all(len(sentence.split()) > 3 for sentence in able.delta_misses)

    def test_making_one_does_no_input_or_output(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket.socket, "connect", _refuse)
        before = desk.harness.clock.monotonic()
        made = desk.connect()
        assert (desk.line.sent, made.calls, made.clock_offset) == ([], 0, None)
        assert desk.harness.clock.monotonic() == before

    def test_every_request_is_counted_with_its_retries(self, desk: Desk) -> None:
        desk.seed(*people(3))
        desk.trouble(Trouble.ERROR_503, times=2)
        desk.records()
        assert desk.connector.calls == (len(desk.line.sent) if desk.capabilities.speaks_http else 0)
        assert len(desk.line.sent) > 2

    def test_closing_twice_is_no_mistake(self, desk: Desk) -> None:
        desk.connector.check([desk.spec])
        desk.connector.close()
        desk.connector.close()

    def test_check_is_content_with_what_is_there(self, desk: Desk) -> None:
        health = desk.connector.check([desk.spec])
        assert [p for p in health.problems if p.severity is Severity.ERROR] == []
        assert health.account_id
        assert health.account_name
        assert health.clock_offset == desk.connector.clock_offset
        assert health.account_id == desk.connect().check([]).account_id
        assert desk.line.writes == 0

    @pytest.mark.parametrize("what", ["fields", "topics", "collection", "lists"])
    def test_check_names_what_is_missing(self, desk: Desk, what: str) -> None:
        desk.needs(what != "lists" or not desk.is_esp, "it plays an ESP, which has no list scopes")
        missing = desk.harness.missing
        wrong: dict[str, Any] = {
            "fields": desk.spec.fields | {missing},
            "topics": desk.spec.topics | {missing},
            "collection": missing,
            "lists": {"clients": {missing: "1"}},
        }
        problems = desk.connector.check([replace(desk.spec, **{what: wrong[what]})]).problems
        errors = [problem for problem in problems if problem.severity is Severity.ERROR]
        assert len(errors) == 1
        assert missing in f"{errors[0].field} {errors[0].message}"

    def test_describe_shows_what_the_configuration_may_use(self, desk: Desk) -> None:
        shown = {info.id: info for info in desk.connector.describe()}[desk.spec.collection]
        assert desk.spec.fields <= {field.name for field in shown.fields}
        assert desk.spec.topics <= set(shown.topics)
        assert shown.name

    def test_refused_credentials_are_told_from_other_failures(self, desk: Desk) -> None:
        desk.needs(secrets_of(desk), "its settings hold no secret")
        with pytest.raises(CredentialsRefused):
            desk.connect(settings=desk.harness.refused).check([desk.spec])
        with pytest.raises(CredentialsRefused):
            list(desk.connect(settings=desk.harness.refused).read(desk.spec, None))

    @pytest.mark.parametrize("trouble", list(Trouble))
    def test_no_secret_reaches_an_error_or_a_log(
        self, desk: Desk, trouble: Trouble, caplog: pytest.LogCaptureFixture
    ) -> None:
        desk.seed(person("ann"))
        secrets = secrets_of(desk)
        desk.needs(secrets, "its settings hold no secret")
        caplog.set_level(logging.DEBUG)
        desk.trouble(trouble, times=10_000)
        with capture_logs() as logged:
            told = [_failure(desk, verb) for verb in ("check", "read", "read_ids", "describe")]
        assert any(told)
        # Credentials travel encoded, too.
        secrets += [word for sent in desk.line.sent for word in sent.headers.get("authorization", "").split()[1:]]
        everything = " ".join([*told, str(logged), caplog.text, repr(desk.connector)])
        assert [secret for secret in secrets if secret in everything] == []


def _failure(desk: Desk, verb: str) -> str:
    try:
        match verb:
            case "check":
                desk.connector.check([desk.spec])
            case "read":
                desk.read()
            case "read_ids":
                desk.connector.read_ids(desk.spec, ["1"])
            case _:
                desk.connector.describe()
    except OptsyncError as error:
        return "".join(traceback.format_exception(error)) + repr(error)
    return ""


def _refuse(*_: object) -> None:
    raise AssertionError("a connection was opened")
