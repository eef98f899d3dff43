"""``optsync forget`` and the keys behind it, as a person at a terminal sees them."""

import io

import pytest

from tests.cli.desk import Desk

ANN = "ann1@example.com"


def test_forgetting_lists_the_records_that_still_hold_the_person(desk: Desk) -> None:
    desk.optsync("sync")
    answer = desk.optsync("forget", ANN, "--actor", "privacy officer")

    assert answer.code == 0
    assert "These records still hold the person" in answer.out
    assert "crm contact" in answer.out
    assert "mc " in answer.out
    assert ANN not in answer.out
    assert not any(ANN in line for line in desk.dump())


def test_the_systems_delete_the_person_too_when_they_are_asked(desk: Desk) -> None:
    desk.optsync("sync")
    answer = desk.optsync("forget", ANN, "--actor", "privacy officer", "--vendors", "--yes", "--json")

    assert answer.code == 0
    assert {(r["system"], r["outcome"]) for r in answer.json["records"]} == {("crm", "deleted"), ("mc", "deleted")}
    assert desk.act("mailchimp", "view", email=ANN) is None
    assert desk.act("bitrix24", "view", email=ANN) is None


class Leaving(io.StringIO):
    """A person who types nothing and ends the input."""

    def isatty(self) -> bool:
        return True


def test_whoever_leaves_at_the_question_hears_what_is_done_and_where_the_person_still_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.optsync("sync")
    monkeypatch.setattr("sys.stdin", Leaving())
    answer = desk.optsync("forget", ANN, "--actor", "privacy officer", "--vendors")
    assert answer.code == 1
    assert "Noted as erasure 1." in answer.out
    assert "These records still hold the person:" in answer.out
    assert desk.act("mailchimp", "view", email=ANN) is not None


def test_nothing_is_erased_when_nobody_can_agree_to_the_deletion(desk: Desk) -> None:
    desk.optsync("sync")
    answer = desk.optsync("forget", ANN, "--actor", "privacy officer", "--vendors", "--json")

    assert answer.code == 1
    assert "--yes" in answer.json["reason"]
    assert any(ANN in line for line in desk.dump())


def test_an_address_that_nobody_knew_is_kept_out_as_well(desk: Desk) -> None:
    answer = desk.optsync("forget", "nobody@example.org", "--actor", "privacy officer")
    assert answer.code == 0
    assert "Nothing was known" in answer.out
    said = desk.optsync("may-send", "nobody@example.org", "--scope", "acme/marketing", "--json").json
    assert said["may_send"] is False
    assert not any("nobody@" in line for line in desk.dump())


@pytest.mark.parametrize("arguments", [("forget", ANN, "--actor", " "), ("forget", ANN, "--actor", "", "--json")])
def test_somebody_has_to_answer_for_it(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert desk.optsync(*arguments).code == 1


def test_what_is_no_address_is_refused(desk: Desk) -> None:
    assert desk.optsync("forget", "not an address", "--actor", "me").code == 2


def test_explain_says_that_somebody_was_forgotten_and_shows_the_outs(desk: Desk) -> None:
    desk.optsync("sync")
    desk.optsync("opt-out", ANN, "--actor", "the boss", "--reason", "asked by telephone")
    desk.optsync("forget", ANN, "--actor", "privacy officer")
    desk.optsync("sync")
    words = desk.optsync("explain", ANN).out
    document = desk.optsync("explain", ANN, "--json").json

    assert "was forgotten on" in words
    assert "telephone" not in words
    assert ANN not in words
    assert document["email"] == "(forgotten)"
    assert document["forgotten_at"]
    outs = document["scopes"]["acme/marketing"]["statements"]
    assert {s["kind"] for s in outs} >= {"out"}
    assert not any(s["evidence"] for s in outs)


def test_a_lost_key_file_is_named_and_no_new_key_takes_its_place(desk: Desk) -> None:
    desk.document.pop("secret_keys")
    desk.write(state={"url": f"sqlite:///{desk.database}"})
    desk.optsync("sync")
    desk.optsync("forget", ANN, "--actor", "privacy officer")
    key = desk.database.with_name(desk.database.name + ".key")
    kept = key.read_bytes()
    key.unlink()
    answer = desk.optsync("sync")

    assert answer.code == 2
    assert str(key) in answer.err
    assert "backup" in answer.err
    assert not key.exists()
    key.write_bytes(b"another key that is quite long enough, and wrong")
    assert desk.optsync("status").code == 2
    key.write_bytes(kept)
    assert desk.optsync("sync").code == 0


def test_a_rotated_key_still_knows_the_forgotten_until_it_is_seen_that_nobody_hangs_on_it(desk: Desk) -> None:
    old, new = "a secret of the tests", "another secret of the tests"
    desk.optsync("sync")
    desk.optsync("forget", ANN, "--actor", "privacy officer")
    desk.optsync("forget", "nobody@example.org", "--actor", "privacy officer")
    desk.write(secret_keys=[new])
    refused = desk.optsync("check")
    assert refused.code == 2
    assert "2 people" in refused.err
    desk.write(secret_keys=[new, old])
    before = desk.optsync("check", "--json").json["secret_keys"]
    assert [k["forgotten"] for k in before] == [0, 2]
    desk.optsync("sync", "--full")
    assert [k["forgotten"] for k in desk.optsync("check", "--json").json["secret_keys"]] == [1, 1]
    assert "1 forgotten people are known by it alone" in desk.optsync("check").out
    desk.optsync("forget", "nobody@example.org", "--actor", "privacy officer")
    assert [k["forgotten"] for k in desk.optsync("check", "--json").json["secret_keys"]] == [2, 0]
    desk.write(secret_keys=[new])

    assert desk.optsync("sync", "--full").code == 0
    assert desk.act("mailchimp", "view", email=ANN)["status"] == "out"
    said = desk.optsync("may-send", "nobody@example.org", "--scope", "acme/marketing", "--json").json
    assert said["reason"] == "opted out"
