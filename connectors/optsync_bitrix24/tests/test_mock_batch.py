from urllib.parse import quote

import msgspec
import pytest

from optsync_bitrix24.tests.mock_calls import FORM, Portal, person


def test_a_batch_with_a_failing_command_is_still_http_200() -> None:
    portal = Portal(person(1))
    answer = portal.batch(bad="crm.contact.get?id=99", good="crm.contact.update?id=1&fields[NAME]=Zoe")
    assert answer["result"] == {"good": True}
    assert answer["result_error"] == {"bad": {"error": "", "error_description": "Not found"}}
    assert answer["result_total"] == []
    assert answer["result_next"] == []
    assert answer["result_time"].keys() == {"good"}


def test_an_empty_error_map_is_a_list() -> None:
    assert Portal(person(1)).batch(good="crm.contact.get?id=1")["result_error"] == []


def test_numeric_keys_become_a_list_while_they_count_from_zero() -> None:
    portal = Portal(person(1))
    good, bad = "crm.contact.update?id=1&fields[NAME]=A", "crm.contact.get?id=9"
    assert portal.result("batch", cmd=[good, good, bad])["result"] == [True, True]
    assert portal.result("batch", cmd=[bad, good])["result"] == {"1": True}


def test_a_halted_batch_says_nothing_about_the_rest() -> None:
    portal = Portal(person(1))
    answer = portal.batch(1, bad="crm.contact.get?id=9", later="crm.contact.update?id=1&fields[NAME]=Zoe")
    assert (answer["result"], list(answer["result_error"])) == ([], ["bad"])
    assert portal.contact()["NAME"] == "First1"


def test_a_batch_in_a_batch_and_the_51st_command_are_refused() -> None:
    portal = Portal(person(1))
    answer = portal.batch(inner="batch?cmd[a]=profile", upper="BATCH")
    assert {error["error"] for error in answer["result_error"].values()} == {"ERROR_BATCH_METHOD_NOT_ALLOWED"}
    long = {f"c{i}": "profile" for i in range(52)}
    answer = portal.result("batch", cmd=long)
    assert {key: e["error"] for key, e in answer["result_error"].items()} == dict.fromkeys(
        ["c50", "c51"], "ERROR_BATCH_LENGTH_EXCEEDED"
    )
    assert Portal(long_batch="request").error("batch", cmd=long)[:2] == (400, "ERROR_BATCH_LENGTH_EXCEEDED")


def test_references_walk_into_former_results() -> None:
    portal = Portal(*(person(i, f"p{i}@example.com") for i in range(1, 61)))
    page = "crm.contact.list?start=-1&order[ID]=ASC&select[]=ID&filter[%3EID]="
    answer = portal.batch(p0=page + "0", p1=page + "$result[p0][49][ID]", p2=page + "$result[p1][49][ID]")
    assert [len(answer["result"][key]) for key in ("p0", "p1")] == [50, 10]
    assert answer["result"]["p2"] != []  # a short page leaves the reference unresolved: what follows is rubbish
    answer = portal.batch(
        one="crm.contact.get?id=3",
        two="crm.contact.update?id=$result[one][ID]&fields[POST]=was $result[one][EMAIL][0][VALUE]!",
        three="crm.contact.update?id=4&fields[POST]=$result[nowhere][ID]",
    )
    assert portal.contact(3)["POST"] == "was p3@example.com!"
    assert portal.contact(4)["POST"] == ""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fields[POST]=a+b%26c", "a b&c"),
        ("fields[POST]=first&fields[POST]=second", "second"),
        ("fields.x=1&fields[POST]=kept", "kept"),
    ],
)
def test_commands_are_decoded_as_parse_str_does(query: str, expected: str) -> None:
    portal = Portal(person(1))
    portal.batch(c="crm.contact.update?id=1&" + query)
    assert portal.contact()["POST"] == expected


def test_an_empty_element_clears_a_list_in_a_batch() -> None:
    portal = Portal(person(1))
    fields = {"USER_TYPE_ID": "string", "FIELD_NAME": "TAGS", "MULTIPLE": "Y"}
    portal.result("crm.contact.userfield.add", fields=fields)
    portal.batch(c="crm.contact.update?id=1&fields[UF_CRM_TAGS][]=x&fields[UF_CRM_TAGS][]=y")
    assert portal.contact()["UF_CRM_TAGS"] == ["x", "y"]
    portal.batch(c="crm.contact.update?id=1&fields[UF_CRM_TAGS][]=")
    assert portal.contact()["UF_CRM_TAGS"] == []


def test_a_batch_in_a_form_is_encoded_twice() -> None:
    portal = Portal(person(1))
    command = "crm.contact.update?id=1&fields[POST]=" + quote("a&b=c", safe="")
    body = "halt=0&cmd[c]=" + quote(command, safe="")
    answer = portal.send(portal.base + "batch", body.encode(), headers=FORM)
    assert msgspec.json.decode(answer.body)["result"]["result"] == {"c": True}
    assert portal.contact()["POST"] == "a&b=c"


def test_a_limit_may_strike_inside_a_batch() -> None:
    portal = Portal(person(1), operating_budget=0.1, read_cost=0.1)
    answer = portal.batch(a="crm.contact.get?id=1", b="crm.contact.get?id=1", c="crm.contact.fields")
    assert answer["result"].keys() == {"a", "c"}
    assert answer["result_error"]["b"]["error"] == "OPERATION_TIME_LIMIT"
    portal.mock.act("fault", method="crm.lead.fields", status=503, code="QUERY_LIMIT_EXCEEDED", text="Too many")
    assert portal.batch(a="crm.lead.fields")["result_error"]["a"]["error"] == "QUERY_LIMIT_EXCEEDED"


def test_a_batch_that_takes_longer_than_a_request_may_is_cut_off_and_half_done() -> None:
    portal = Portal(*(person(i, f"p{i}@example.com") for i in range(1, 41)), write_cost=2.0)
    commands = {f"c{i}": f"crm.contact.update?id={i}&fields[POST]=x" for i in range(1, 41)}
    answer = portal.send(portal.base + "batch.json", msgspec.json.encode({"cmd": commands}))

    assert (answer.status, answer.headers["Content-Type"]) == (504, "text/html; charset=UTF-8")
    done = [portal.contact(i)["POST"] for i in range(1, 41)]
    assert (done.count("x"), done.count(None)) == (31, 9)
