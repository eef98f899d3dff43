import pytest

from optsync.connect.redact import Redactor


def test_secrets_are_replaced_the_longest_first() -> None:
    redactor = Redactor(["abcd", "abcd-efgh"])
    assert redactor.secrets("key=abcd-efgh, other=abcd.") == "key=***, other=***."


def test_a_trivially_short_secret_does_not_blank_the_whole_text() -> None:
    assert Redactor(["", "a", "abc"]).secrets("a cab in abc") == "a cab in abc"


@pytest.mark.parametrize(
    "text",
    [
        "record anna@example.com refused",
        "<Anna@Example.com>",
        '{"email":"anna@example.com"}',
        "?email=anna%40example.com&page=2",
        "jürgen@bücher.example",
        "a.b+c@mail.example.org;d@example.net",
        "mailto:anna@example.com",
    ],
)
def test_an_address_is_replaced_wherever_it_stands(text: str) -> None:
    for redactor in (Redactor(key=b"one"), Redactor()):
        shown = redactor.all(text)
        assert "example." not in shown
        assert ".example" not in shown
    assert "@" in Redactor(key=b"one").all(text)


def test_without_a_key_no_hash_stands_for_an_address() -> None:
    assert Redactor().all("record 7 (anna@example.com): refused") == "record 7 (a…m (16)): refused"
    assert Redactor().address("anna@example.com") == "a…m (16)"


def test_the_text_around_an_address_stays() -> None:
    redactor = Redactor(key=b"one")
    stand_in = redactor.address("anna@example.com")
    assert redactor.all("record 7 (anna@example.com): refused") == f"record 7 ({stand_in}): refused"


def test_one_address_has_one_stand_in_and_the_key_decides_which() -> None:
    first, second = Redactor(key=b"one"), Redactor(key=b"two")
    assert first.address(" Anna@Example.com ") == first.address("anna@example.com")
    assert first.address("anna@example.com") != first.address("berta@example.com")
    assert first.address("anna@example.com") != second.address("anna@example.com")


def test_secrets_go_before_addresses_do() -> None:
    assert "hunter2" not in Redactor(["hunter2"]).all("https://user:hunter2@crm.example/rest")


def test_what_is_learnt_later_is_hidden_beside_what_was_known() -> None:
    redactor = Redactor(["hunter2"], key=b"one").knowing("hunter3")
    assert redactor.secrets("hunter2 hunter3 hunter4") == "*** *** hunter4"
    assert redactor.address("anna@example.com") == Redactor(key=b"one").address("anna@example.com")
