"""Tables for people; the same rows go into the page about performance."""

from collections.abc import Sequence

from rich import box
from rich.table import Table


def columns(title: str, names: Sequence[str], *, words: int = 1) -> Table:
    """An empty table; the first ``words`` columns hold words, the others numbers."""
    shown = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    for place, name in enumerate(names):
        shown.add_column(name, no_wrap=True, justify="left" if place < words else "right")
    return shown


def whole(count: int) -> str:
    """All digits, in groups of three."""
    return f"{count:,}".replace(",", " ")


def number(value: float) -> str:
    """Few digits, as many as are worth something."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.4f}"
