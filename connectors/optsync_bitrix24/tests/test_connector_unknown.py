"""What may have arrived is called unknown, whatever becomes of its repetition."""

import pytest

from optsync.model.change import Result
from optsync_bitrix24.tests.world import contacts, fields_of, json_answer, lost, people, status, world

CITY = "UF_CRM_CITY"


@pytest.mark.parametrize("kind", ["fields", "out"])
@pytest.mark.parametrize("code", ["ERROR_SOMETHING", "ACCESS_DENIED"])
def test_a_write_that_may_have_arrived_is_not_called_failed_where_its_repetition_is_refused(
    kind: str, code: str
) -> None:
    made = world(people(2))
    spec = contacts("NAME", CITY, "UF_CRM_OPT_OUT")
    rid = made.ids(spec)[0]
    made.spoil(lost, lambda *_: json_answer({"error": code, "error_description": "nein"}, 400))
    write = status(rid) if kind == "out" else fields_of(rid, {CITY: "Bern"})
    (outcome,) = made.connector.write([write], spec)

    assert str(made.mock.act("dump", id=int(rid))[CITY if kind == "fields" else "UF_CRM_OPT_OUT"]) in {"Bern", "1"}
    assert outcome.result is Result.UNKNOWN
