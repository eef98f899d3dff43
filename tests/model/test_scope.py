import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.scope import EVERYTHING, contains, is_valid, path, purpose_of

PARTS = st.sampled_from(["acme", "acme2", "news", "new", "offers"])
SCOPES = st.just(EVERYTHING) | st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("*", ("*",)),
        ("acme", ("*", "acme")),
        ("acme/news", ("*", "acme", "acme/news")),
        ("acme/news/offers", ("*", "acme", "acme/news", "acme/news/offers")),
    ],
)
def test_the_path_leads_from_everything_down_to_the_scope(scope: str, expected: tuple[str, ...]) -> None:
    assert path(scope) == expected


@pytest.mark.parametrize(
    ("scope", "purpose"),
    [("*", None), ("acme", None), ("acme/news", "acme/news"), ("acme/news/offers", "acme/news")],
)
def test_a_scope_lies_in_one_purpose_or_above_all(scope: str, purpose: str | None) -> None:
    assert purpose_of(scope) == purpose


@given(SCOPES, SCOPES)
def test_a_scope_contains_another_exactly_if_it_lies_on_its_path(ancestor: str, scope: str) -> None:
    assert contains(ancestor, scope) is (ancestor in path(scope))


def test_a_brand_does_not_contain_one_whose_name_begins_alike() -> None:
    assert not contains("acme", "acme2/news")
    assert not contains("acme/new", "acme/news")


def test_a_topic_contains_neither_its_purpose_nor_its_neighbours() -> None:
    assert not contains("acme/news/offers", "acme/news")
    assert not contains("acme/news/offers", "acme/news/events")
    assert not contains("acme", EVERYTHING)


@given(SCOPES)
def test_every_scope_in_use_is_valid_and_begins_its_path_with_everything(scope: str) -> None:
    assert is_valid(scope)
    assert path(scope)[0] == EVERYTHING
    assert path(scope)[-1] == scope


@pytest.mark.parametrize("text", ["", "/", "acme/", "/news", "a//b", "a/b/c/d", " acme", "acme /news", "acme/*", "*/a"])
def test_malformed_scopes_are_recognised(text: str) -> None:
    assert not is_valid(text)
