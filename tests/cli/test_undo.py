from tests.cli.desk import CRM, ESP, Desk


def copied(desk: Desk) -> str:
    """A run that copied a name and carried an opt-out; its id."""
    desk.optsync("sync")
    desk.act(CRM, "set_field", email="ann1@example.com", field="first_name", value="Anna")
    desk.act(ESP, "unsubscribe", email="ann2@example.com")
    return str(desk.optsync("sync", "--json").json["run"])


def name_at_the_esp(desk: Desk) -> str:
    return str(desk.act(ESP, "view", email="ann1@example.com")["fields"]["first_name"])


def test_a_run_is_taken_back_in_the_form_of_sync_and_is_a_run_itself(desk: Desk) -> None:
    run = copied(desk)
    before = name_at_the_esp(desk)
    rehearsed = desk.optsync("undo", run, "--actor", "Kim", "--dry-run", "--json")
    assert (rehearsed.code, rehearsed.json["state"], name_at_the_esp(desk)) == (0, "planned", before)
    answer = desk.optsync("undo", run, "--actor", "Kim", "--json")
    document = answer.json
    part = document["syncs"]["newsletter"]
    assert (answer.code, document["state"], document["undoes"]) == (0, "done", run)
    assert {(c["kind"], c["rule"], c["state"]) for c in part["changes"]} == {("field", "undone", "applied")}
    assert {"before": {"FNAME": "Anna"}, "after": {"FNAME": "Ann1"}}.items() <= part["changes"][-1].items()
    assert [(n["kind"], n["email"]) for n in part["not_undone"]] == [("opt_out", "ann2@example.com")]
    assert "optsync opt-in" in part["not_undone"][0]["instead"]
    assert name_at_the_esp(desk) == "Ann1"
    shown = desk.optsync("runs", "show", document["run"], "--json").json
    assert (shown["undoes"], shown["actor"]) == (run, "Kim")
    assert "ann2@example.com" not in str(shown["summary"])
    assert f"takes back run {run}" in desk.optsync("runs", "show", document["run"]).out
    assert desk.optsync("sync", "--json").json["syncs"]["newsletter"]["changes"] == []


def test_the_answer_in_words_says_what_stays_and_how_to_go_on(desk: Desk) -> None:
    run = copied(desk)
    answer = desk.optsync("undo", run, "--actor", "Kim")
    assert "an earlier run is taken back" in answer.out
    assert "instead of undoing opt_out: only evidence lifts an opt-out" in answer.out
    assert "optsync undo " in answer.out
    again = desk.optsync("undo", run, "--actor", "Kim")
    assert again.code == 1
    assert "is undone already, by run" in again.err


def test_what_cannot_be_undone_is_refused_in_a_sentence(desk: Desk) -> None:
    desk.optsync("sync")
    quiet = desk.optsync("sync", "--json").json["run"]
    assert "changed nothing" in desk.optsync("undo", quiet, "--actor", "Kim", "--json").json["reason"]
    assert "there is no run 01XYZ" in desk.optsync("undo", "01XYZ", "--actor", "Kim", "--json").json["reason"]
    assert desk.optsync("undo", "01XYZ", "--actor", "Kim").code == 1
    assert desk.optsync("undo", quiet).code == 2
    run = copied(desk)
    assert desk.optsync("undo", run, "--actor", " ").code == 1
    wrong = desk.optsync("undo", run, "--actor", "Kim", "--sync", "letters")
    assert wrong.code == 2
    assert "was not about 'letters'" in wrong.err


def test_a_system_that_lets_nobody_in_leaves_it_for_another_time(desk: Desk) -> None:
    run = copied(desk)
    systems = desk.document["systems"]
    good = dict(systems["mc"])
    systems["mc"] = {**good, "api_key": f"{'0' * 32}-us6"}
    desk.write(systems=systems)
    assert desk.optsync("undo", run, "--actor", "Kim").code == 3
    systems["mc"] = good
    desk.write(systems=systems)
    assert desk.optsync("undo", run, "--actor", "Kim").code == 0
    assert name_at_the_esp(desk) == "Ann1"
