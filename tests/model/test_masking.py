import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.masking import mask, mask_words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Riga", "R…a (4)"),
        ("ann@example.com", "a…m (15)"),
        ("ab", "… (2)"),
        ("", "… (0)"),
        (42, "… (2)"),
        (True, "T…e (4)"),
        (("45", "46"), "4…6 (6)"),
        (None, None),
    ],
)
def test_a_masked_value_shows_its_ends_and_its_length(value: object, shown: str | None) -> None:
    assert mask(value) == shown  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "values", "shown"),
    [
        ("'Riga' is no number", ["Riga"], "'R…a (4)' is no number"),
        ("RIGA is no number", ["Riga"], "R…a (4) is no number"),
        ("Ann <ann@example.com> looks fake", [], "Ann <a…m (15)> looks fake"),
        ('"ann miller"@example.com looks fake', [], '"…m (24) looks fake'),
        ('{"email":"ann@example.com"}', [], '{"email":"a…m (15)"}'),
        ("ann%40example.com is known", [], "a…m (17) is known"),
        ("7 is not among 17 choices", ["7"], "… (1) is not among 17 choices"),
        ("neither 45 nor 46", [("45", "46")], "neither … (2) nor … (2)"),
        ("expected a date", ["", None], "expected a date"),
        ("none - or true", ["", None, True], "none - or true"),
        ("Alt Zürich is no Zürich", ["Zürich", "Alt Zürich"], "A…h (10) is no Z…h (6)"),
        ("Rigaer is no Riga", ["Riga"], "R…a (4)er is no R…a (4)"),
        ("45 is not in 1450", ["45"], "… (2) is not in 1450"),
    ],
)
def test_a_vendors_words_keep_their_meaning_and_lose_the_value(words: str, values: list[str], shown: str) -> None:
    assert mask_words(words, values) == shown


@given(st.text(min_size=3, max_size=40).filter(lambda text: text.strip() == text and "…" not in text))
def test_no_quoted_value_survives(value: str) -> None:
    masked = mask_words(f"the value «{value}» is not allowed", [value])
    assert f"«{value}»" not in masked
