"""Documents whose shape is wrong somewhere: what gateways, old versions and bugs make of a vendor's JSON.

A value is never replaced by another that would be right in its place: that would be a lie, which nobody can tell from
the truth. It is left out, doubled, or becomes something that does not belong there.
"""

import copy
import random
from collections.abc import Iterator
from typing import Any

_TEXTS = ("", " ", "\0", "null", "\ud7ff\u202e", "<b>x</b>", "x" * 70_000, "-1e999", "9999-99-99T99:99:99+99:99", "P͡͠a͟")
_NUMBERS = (-1, 0.5, 1e300, 2**70)
_OTHERS: tuple[Any, ...] = (None, [], {}, [[]], {"": {}}, [None], *_TEXTS, *_NUMBERS)
_PLACE = tuple[Any, Any]


def spoiled(document: Any, rng: random.Random) -> tuple[Any, str]:
    """A copy with one place spoiled, and what was done to it."""
    whole = {"": copy.deepcopy(document)}
    holder, key = rng.choice(list(_places(whole)))
    value = holder[key]
    if isinstance(value, list) and value and rng.random() < 0.4:
        done = _spoil_list(value, rng)
    elif holder is not whole and rng.random() < 0.3:
        del holder[key]
        done = "left out"
    else:
        holder[key] = _unlike(value, rng)
        done = f"became {str(holder[key])[:40]!r}"
    return whole[""], f"{key!r} {done}"


def _spoil_list(rows: list[Any], rng: random.Random) -> str:
    row = rng.randrange(len(rows))
    match rng.choice(["doubled", "doubled at the end", "left out", "a map instead"]):
        case "doubled":
            rows.insert(row, copy.deepcopy(rows[row]))
            return f"row {row} doubled"
        case "doubled at the end":
            rows.append(copy.deepcopy(rows[row]))
            return f"row {row} doubled at the end"
        case "left out":
            del rows[row]
            return f"row {row} left out"
        case _:
            rows[row] = {str(n): each for n, each in enumerate(rows)}
            return f"row {row} is a map of all"


def _unlike(value: Any, rng: random.Random) -> Any:
    """Something of another type, or text that means nothing."""
    kind = type(value)
    wrapped: tuple[Any, ...] = ([value], {"value": value})
    others = [o for o in (*_OTHERS, *wrapped) if type(o) is not kind or (isinstance(o, str) and o)]
    return rng.choice(others)


def _places(holder: Any) -> Iterator[_PLACE]:
    """Every (container, key) below, depth first."""
    keys = holder.keys() if isinstance(holder, dict) else range(len(holder))
    for key in list(keys):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])
