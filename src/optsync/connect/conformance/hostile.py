"""Names and addresses as the world has them."""

from optsync.connect.mock import Person

ADDRESSES = (
    "MiXed.Case@Example.COM",
    "plus+tag+two@example.com",
    "o'neil@example.org",
    "under_score-dash.dot@sub.example.net",
    "anna@bücher.example",
    "anna@xn--fa-hia.example",
    "per%cent&and=equals@example.com",
    "with/slash@example.com",
    "{brace}|pipe@example.com",
    "a@example.com",
    f"{'l' * 64}@example.com",
)
"""All of them valid, no two the same mailbox."""

NAMES = (
    "Zoë 👩🏽\u200d🚀",
    "N" * 300,
    "Quote \"double\" and 'single'",
    "  spaces around  ",
    "<b>Bold</b> &amp; brave",
    "$result[x] %s {0} {{name}} \\n",
    "Ελένη Юлия 李雷 שרה",
    "a;b,c|d=e&f?g#h/i+j",
    "O'Brien; DROP TABLE people--",
    "nul\0byte and \x07 bell",
    "two\r\nlines\tand a tab",
    "an old\rline end",
    "\u202eright to left\u202c \ufeff\u200b",
    "=HYPERLINK(1)",
    "ß" * 32_768,
    "null",
    "0",
)
"""Texts for a name field."""


def people() -> list[Person]:
    """One person for each address, each with one of the names."""
    return [
        Person(number=number, first_name=NAMES[number % len(NAMES)], last_name="Lee", addresses=(address,))
        for number, address in enumerate(ADDRESSES)
    ]
