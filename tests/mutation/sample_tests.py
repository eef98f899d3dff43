"""Tests that are run by the tests of mutation testing alone: they miss one boundary on purpose."""

from tests.mutation.sample import Span, halve, is_small, longest


def test_lengths() -> None:
    assert longest([Span.upto(3), Span(2, 9)]) == 7


def test_halves() -> None:
    assert halve(8) == 3


def test_names() -> None:
    assert is_small("one")
    assert not is_small("many")
