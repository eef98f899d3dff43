import json
import re
import sqlite3
from collections.abc import Iterator

import pytest

from optsync import errors
from optsync.cli.failures import describe
from optsync.clock import SystemClock
from tests.cli.desk import CRM, ESP, Desk

KEY_CANARY = "0123456789abcdef0123456789abcdef-us6"
SECRET_CANARY = "c4n4ry53cr3tc4n4ry"
ADDRESS = re.compile(r"[\w.]+@[\w.]+\.\w+")


def subclasses(kind: type[errors.OptsyncError]) -> Iterator[type[errors.OptsyncError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


EXIT_CODES = {
    "ConfigError": 2,
    "CommandRefused": 1,
    "SystemFailure": 3,
    "SystemUnavailable": 3,
    "CredentialsRefused": 3,
    "RateLimited": 3,
    "OutcomeUnknown": 1,
    "RecordInvalid": 1,
    "PlanHeld": 4,
    "StateLocked": 1,
}


def test_bytes_in_the_environment_that_are_no_text_are_a_fault_of_the_configuration(
    lonely: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTSYNC_SYSTEMS__CRM__WEBHOOK_URL", f"{SECRET_CANARY}\udcff")
    text, document = lonely.optsync("status"), lonely.optsync("status", "--json")
    assert (text.code, document.code) == (2, 2)
    (fault,) = document.json["faults"]
    assert (fault["found"], fault["expected"]) == ("bytes that are no UTF-8", "text in UTF-8")
    assert "environment OPTSYNC_SYSTEMS__CRM__WEBHOOK_URL" in text.err
    assert SECRET_CANARY not in text.err + document.out


@pytest.mark.parametrize("kind", sorted(k for k in EXIT_CODES))
def test_every_error_has_its_exit_code_and_keeps_its_sentence(kind: str) -> None:
    made = getattr(errors, kind)
    error = made("crm", "a sentence") if EXIT_CODES[kind] == 3 else made("a sentence")
    failure = describe(error)
    assert failure.exit_code == EXIT_CODES[kind]
    assert "a sentence" in failure.text
    assert failure.document["reason"] == failure.text
    assert not failure.is_bug


def test_the_table_of_errors_is_complete() -> None:
    ours = {k.__name__ for k in subclasses(errors.OptsyncError) if k.__module__ == errors.__name__}
    assert ours == set(EXIT_CODES)


def test_a_bug_is_one_sentence_with_the_way_to_learn_more() -> None:
    failure = describe(ZeroDivisionError("ann@example.com"))
    assert failure.exit_code == 1
    assert "\n" not in failure.text
    assert "-v" in failure.text
    assert "ann@" not in failure.text


def test_a_bug_shows_its_traceback_only_when_asked_for(lonely: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("about ann1@example.com")

    monkeypatch.setattr("optsync.sync.status.status", broken)
    plain, verbose = lonely.optsync("status"), lonely.optsync("status", verbose=True)
    assert (plain.code, verbose.code) == (1, 1)
    assert "Traceback" not in plain.out + plain.err
    assert "Traceback" in verbose.err
    assert "ann1@example.com" not in verbose.err
    assert lonely.optsync("status", "--json").json["error"] == "bug"


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_command_that_is_interrupted_says_that_it_may_not_be_done(
    lonely: Desk, monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def interrupted_and_closed(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")

    monkeypatch.setattr("optsync.sync.administer.opt_out", interrupted_and_closed if is_closed else interrupted)
    wish = ("opt-out", "ann1@example.com", "--actor", "Eve")
    text, document = lonely.optsync(*wish), lonely.optsync(*wish, "--json")
    assert (text.code, document.code) == (130, 130)
    assert "or not at all; run the command again" in text.err
    assert document.json == {"error": "stopped", "reason": text.err.rstrip()}


def test_a_missing_configuration_is_named(lonely: Desk) -> None:
    lonely.path.unlink()
    answer = lonely.optsync("status")
    assert answer.code == 2
    assert "config.yaml" in answer.err
    assert "optsync init" in answer.err


def test_every_fault_of_the_configuration_has_a_line_of_its_own(lonely: Desk) -> None:
    lonely.write(guard={"opt_outs": {"max": "many"}}, nonsense=1)
    text, document = lonely.optsync("check"), lonely.optsync("check", "--json")
    assert (text.code, document.code) == (2, 2)
    lines = text.err.splitlines()
    assert len(lines) == 2
    assert all("config.yaml:" in line for line in lines)
    assert {f["key"] for f in document.json["faults"]} == {"guard.opt_outs.max", "nonsense"}
    assert document.json["error"] == "configuration"
    assert document.err == ""


@pytest.mark.parametrize(
    "arguments",
    [["plunge"], ["sync", "--fast"], ["explain"], ["issues", "show", "many"], ["plan", "--limit", "0"], ["runs", "go"]],
)
def test_what_is_typed_wrong_is_a_usage_error_in_words_and_in_json(lonely: Desk, arguments: list[str]) -> None:
    text, document = lonely.optsync(*arguments), lonely.optsync(*arguments, "--json")
    assert (text.code, document.code) == (2, 2)
    assert text.out == ""
    assert "--help" in text.err
    assert document.json["error"] == "usage"


def wrong(desk: Desk) -> None:
    systems = desk.document["systems"]
    webhook = re.sub(r"/rest/(\w+)/\w+", rf"/rest/\1/{SECRET_CANARY}", systems["crm"]["webhook_url"])
    desk.write(
        systems={"crm": {**systems["crm"], "webhook_url": webhook}, "mc": {**systems["mc"], "api_key": KEY_CANARY}}
    )


@pytest.mark.parametrize("command", ["sync", "plan", "check"])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_wrong_credentials_end_in_3_and_no_output_holds_a_secret_or_an_address(
    desk: Desk, command: str, options: list[str]
) -> None:
    wrong(desk)
    answer = desk.optsync(command, *options, verbose=True)
    printed = answer.out + answer.err
    assert answer.code == 3
    assert "crm" in printed
    assert "mc" in printed
    for canary in (KEY_CANARY, SECRET_CANARY, "a secret of the tests"):
        assert canary not in printed
    assert ADDRESS.findall(printed) == []
    assert "Traceback" not in printed
    assert desk.writes() == 0


@pytest.mark.parametrize("secret", ['quo"ted secret', "configuration"])
def test_a_document_about_an_error_hides_what_its_text_hides_and_keeps_its_keys(lonely: Desk, secret: str) -> None:
    lonely.write(secret_keys=[secret])
    text, document = lonely.optsync("sync", f"no {secret} here"), lonely.optsync("sync", f"no {secret} here", "--json")
    assert document.json == {"error": "configuration", "reason": text.err.rstrip()}
    assert "no *** here" in text.err


def test_fields_of_a_system_with_wrong_credentials_end_in_3(desk: Desk) -> None:
    wrong(desk)
    answer = desk.optsync("fields", "mc", "--json")
    assert answer.code == 3
    assert answer.json["error"] == "credentials_refused"
    assert KEY_CANARY not in answer.out + answer.err


def test_one_system_with_wrong_credentials_is_told_apart_from_the_other(desk: Desk) -> None:
    systems = desk.document["systems"]
    desk.write(systems={**systems, "mc": {**systems["mc"], "api_key": KEY_CANARY}})
    answer = desk.optsync("check", "--json")
    assert answer.code == 3
    assert answer.json["systems"]["crm"]["ok"] is True
    assert answer.json["systems"]["mc"]["ok"] is False
    assert "mc refused us" in desk.optsync("sync").out


def test_systems_out_of_reach_end_in_3_and_the_wishes_wait(lonely: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "sleep", lambda *_: None)
    assert lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve").code == 0
    answer = lonely.optsync("sync")
    assert answer.code == 3
    assert "nothing is lost" in answer.out
    status = lonely.optsync("status", "--json").json
    assert status["systems"]["crm"]["ok"] is False
    assert status["syncs"]["newsletter"]["oldest_unpropagated_s"] >= 0


def test_a_state_that_cannot_be_opened_is_a_configuration_error(lonely: Desk) -> None:
    lonely.write(state={"url": "sqlite:///no/such/folder/optsync.db"})
    answer = lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve", "--json")
    assert answer.code == 2
    assert answer.json["reason"].startswith("state.url")
    assert "ann1" not in answer.out + answer.err


def test_no_command_works_on_a_state_that_is_forgotten_when_it_ends(lonely: Desk) -> None:
    lonely.write(state={"url": "sqlite://"})
    answer = lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve")
    assert answer.code == 2
    assert "forgets every opt-out" in answer.err


def test_a_name_that_a_person_gave_is_no_secret_although_an_address_holds_it(lonely: Desk) -> None:
    systems = lonely.document["systems"]
    lonely.document["syncs"]["newsletter"]["crm"]["system"] = CRM
    lonely.write(systems={CRM: systems["crm"], "mc": systems["mc"]})
    assert f"/{CRM}/" in systems["crm"]["webhook_url"]
    answer = lonely.optsync("issues", "--system", "nix")
    assert answer.err == f"there is no system 'nix'; configured: {CRM}, mc\n"


def test_documents_of_errors_are_single_json_documents(lonely: Desk) -> None:
    answer = lonely.optsync("explain", "nobody", "--json")
    assert set(json.loads(answer.out)) == {"error", "reason"}


def test_the_names_of_the_imitations_are_those_that_the_tests_use() -> None:
    assert (CRM, ESP) == ("bitrix24", "mailchimp")
