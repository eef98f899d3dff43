"""What a row's digest depends on."""

from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest

from optsync.model.page import ReadSpec
from optsync_bitrix24.mapping import Descriptor
from optsync_bitrix24.rows import Rows

SPEC = ReadSpec(collection="contact", fields=frozenset({"UF_CRM_PLAN"}), lists={"letter": {"TYPE_ID": "CLIENT"}})
PLAN = Descriptor(name="UF_CRM_PLAN", type="enumeration", label="Plan", options={"45": "Gold"})
ROW = {"ID": "7", "UF_CRM_PLAN": "45", "EMAIL": [{"ID": "1", "VALUE": "ann@example.com"}]}
NOBODY: frozenset[str] = frozenset()
DIGEST = Rows(SPEC, {"UF_CRM_PLAN": PLAN}).digest(ROW, NOBODY)


def test_the_same_row_has_the_same_digest_in_another_process() -> None:
    descriptors = {"UF_CRM_PLAN": replace(PLAN)}
    assert Rows(replace(SPEC), descriptors, UTC).digest(dict(ROW), frozenset()) == DIGEST


def test_another_value_or_list_scope_makes_another_digest() -> None:
    rows = Rows(SPEC, {"UF_CRM_PLAN": PLAN})
    assert rows.digest({**ROW, "UF_CRM_PLAN": "46"}, NOBODY) != DIGEST
    assert rows.digest({**ROW, "EMAIL": []}, NOBODY) != DIGEST
    assert rows.digest(ROW, frozenset({"letter"})) != DIGEST


@pytest.mark.parametrize(
    "rows",
    [
        Rows(replace(SPEC, fields=frozenset()), {"UF_CRM_PLAN": PLAN}),
        Rows(replace(SPEC, topics=frozenset({"UF_CRM_NEWS"})), {"UF_CRM_PLAN": PLAN}),
        Rows(replace(SPEC, flags=frozenset({"UF_CRM_PLAN"})), {"UF_CRM_PLAN": PLAN}),
        Rows(replace(SPEC, lists={"letter": {}}), {"UF_CRM_PLAN": PLAN}),
        Rows(replace(SPEC, collection="lead"), {"UF_CRM_PLAN": PLAN}),
        Rows(SPEC, {"UF_CRM_PLAN": replace(PLAN, options={"45": "Silver"})}),
        Rows(SPEC, {"UF_CRM_PLAN": replace(PLAN, type="string")}),
        Rows(SPEC, {}),
        Rows(SPEC, {"UF_CRM_PLAN": PLAN}, timezone(timedelta(hours=3))),
    ],
    ids=["fields", "topics", "flags", "filter", "entity", "option", "type", "field gone", "zone"],
)
def test_what_gives_a_row_another_meaning_makes_another_digest(rows: Rows) -> None:
    assert rows.digest(ROW, NOBODY) != DIGEST


def test_another_version_of_this_program_knows_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optsync.connect.digests.running", lambda: "999")
    assert Rows(SPEC, {"UF_CRM_PLAN": PLAN}).digest(ROW, NOBODY) != DIGEST
