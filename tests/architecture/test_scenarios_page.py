"""The page of scenarios is what the tests are."""

from tests.scenarios.catalogue import PAGE, cases, page
from tests.scenarios.rules import RULES


def test_every_scenario_names_a_known_rule() -> None:
    assert {f"{case.file}::{case.test}": case.rule for case in cases() if case.rule not in RULES} == {}


def test_every_rule_is_shown_by_a_scenario() -> None:
    assert set(RULES) - {case.rule for case in cases()} == set()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "make scenarios writes it anew"


def test_the_page_tells_each_case_with_its_rule_and_its_test() -> None:
    text = page()
    assert "| An opt out reaches every contact that holds the address. | no opt-out is lost | [`test_an_opt_out" in text
