"""Values that people may see without learning them: enough to recognise one, too little to know it."""

import re
from collections.abc import Iterable

from optsync.model.record import Value

ADDRESS = re.compile(r"(?:[^\s<>\"'(),:;=&?/\[\]]{1,64}|\"[^\"\r\n]{1,62}\")(?:@|%40)[^\s<>\"'(),:;=&?/\[\]@]{1,255}")
"""What looks like an e-mail address in a text, also one whose part before the @ is in quotes."""
_HIDDEN = "…"
_SHORT = 2
"""Of so few characters the first and the last would be the whole value."""


def mask(value: Value) -> str | None:
    """The first and the last character and the length: ``R…a (4)``; of one or two characters the length alone. A
    list is one text. None stays None."""
    if value is None:
        return None
    return _masked(", ".join(value) if isinstance(value, tuple) else str(value))


def _masked(text: str) -> str:
    if len(text) <= _SHORT:
        return f"{_HIDDEN} ({len(text)})"
    return f"{text[0]}{_HIDDEN}{text[-1]} ({len(text)})"


def mask_words(words: str, values: Iterable[Value] = ()) -> str:
    """A vendor's words, with every address and every quotation of the ``values`` masked."""
    parts = (part for value in values for part in (value if isinstance(value, tuple) else (value,)))
    # Yes, no and nothing are words like any other, and tell nobody apart.
    texts = {str(part) for part in parts if part is not None and not isinstance(part, bool)} - {""}
    for text in sorted(texts, key=len, reverse=True):
        # A short value may be part of any word; it is a quotation only where it stands alone.
        pattern = re.escape(text) if len(text) > _SHORT else rf"(?<!\w){re.escape(text)}(?!\w)"
        words = re.sub(pattern, _masked(text), words, flags=re.IGNORECASE)
    return ADDRESS.sub(lambda found: _masked(found[0]), words)
