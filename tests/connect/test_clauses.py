"""Every case of the kit belongs to a clause of the contract, and a failure says to which."""

import inspect

import pytest

from optsync.connect.conformance import ConnectorSuite
from optsync.connect.conformance.clauses import CLAUSES, page, told
from tests.architecture.sources import ROOT

PAGE = ROOT / "docs" / "conformance.md"


def test_every_case_belongs_to_one_clause_and_every_clause_has_cases() -> None:
    listed = [f"test_{case}" for clause in CLAUSES for case in clause.cases]
    assert sorted(listed) == sorted(name for name in dir(ConnectorSuite) if name.startswith("test_"))


def test_a_failure_names_the_clause_and_what_to_do() -> None:
    def test_an_opt_out_is_written_and_seen() -> None:
        raise AssertionError("seen in")

    with pytest.raises(AssertionError, match="seen in") as failure:
        told(test_an_opt_out_is_written_and_seen)()
    (note,) = failure.value.__notes__
    assert "The contract, wishes: An opt-out is written whatever happens" in note
    assert "What to do: Set a state rather than toggle one" in note


def test_the_cases_keep_their_arguments_and_marks() -> None:
    check = ConnectorSuite.test_an_opt_out_is_repeated_after_a_lost_answer
    assert list(inspect.signature(check).parameters) == ["self", "desk", "loss"]
    assert {mark.name for mark in vars(check)["pytestmark"]} == {"parametrize"}
    assert not hasattr(inspect.unwrap(check), "__wrapped__")


def test_the_page_of_clauses_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m optsync.connect.conformance > docs/conformance.md"
