"""Two kinds of picture as SVG, written by hand: a few lines that show up as text where they change."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 400, 80, 170, 48, 56
_LINE, _LETTER = 16, 7.5
_COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce", "#57534e")
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">\n'
    '<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
    '<text x="16" y="26" font-size="16" font-weight="bold">{title}</text>\n'
)

Points = Sequence[tuple[float, float]]


def lines(title: str, series: Mapping[str, Points], *, x: str, y: str) -> str:
    """Curves over two logarithmic axes; their values are above zero."""
    every = [point for points in series.values() for point in points]
    across, up = _Axis([p[0] for p in every]), _Axis([p[1] for p in every])
    drawn = [_HEAD.format(width=_WIDTH, height=_HEIGHT, title=escape(title)), *_grid(across, up)]
    ends: dict[str, tuple[float, float, str]] = {}
    for place, (name, points) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        at = [(_x(across.share(px)), _y(up.share(py))) for px, py in points]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in at)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>\n')
        drawn += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>\n' for px, py in at]
        ends[name] = (at[-1][0], at[-1][1], colour)
    drawn += _names(ends)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(f'<text x="{middle:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(x)}</text>\n')
    turned = f'transform="rotate(-90 20 {_HEIGHT / 2:.0f})"'
    drawn.append(f'<text x="20" y="{_HEIGHT / 2:.0f}" text-anchor="middle" {turned}>{escape(y)}</text>\n')
    return "".join([*drawn, "</svg>\n"])


def bars(title: str, values: Mapping[str, float], *, unit: str) -> str:
    """One bar a name, the longest as wide as the picture leaves it between the names and the numbers."""
    most, height = max(values.values()), 70 + 34 * len(values)
    left = 32 + _LETTER * max(map(len, values))
    drawn = [_HEAD.format(width=_WIDTH, height=height, title=escape(title))]
    for place, (name, value) in enumerate(values.items()):
        top, width = 52 + 34 * place, (_WIDTH - left - _RIGHT) * value / most
        colour = _COLOURS[0] if name.startswith("optsync") else _COLOURS[4]
        drawn.append(f'<text x="16" y="{top + 16}">{escape(name)}</text>\n')
        drawn.append(f'<rect x="{left}" y="{top}" width="{max(width, 1):.1f}" height="22" fill="{colour}"/>\n')
        words = f"{value:,.0f}".replace(",", " ")
        drawn.append(f'<text x="{left + 8 + width:.1f}" y="{top + 16}">{words} {escape(unit)}</text>\n')
    return "".join([*drawn, "</svg>\n"])


def _names(ends: Mapping[str, tuple[float, float, str]]) -> list[str]:
    """Each beside the end of its curve, or below the name above it where two curves end close together."""
    drawn, lowest = [], 0.0
    for name, (x, y, colour) in sorted(ends.items(), key=lambda end: end[1][1]):
        lowest = max(y + 4, lowest + _LINE)
        drawn.append(f'<text x="{x + 10:.1f}" y="{lowest:.1f}" fill="{colour}">{escape(name)}</text>\n')
    return drawn


class _Axis:
    """Powers of ten around the values."""

    def __init__(self, values: Sequence[float]) -> None:
        self.low, self.high = floor(log10(min(values))), ceil(log10(max(values)))
        self.high = max(self.high, self.low + 1)

    def share(self, value: float) -> float:
        return (log10(value) - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        return [float(10**power) for power in range(self.low, self.high + 1)]


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _grid(across: _Axis, up: _Axis) -> list[str]:
    drawn = []
    for tick in across.ticks:
        at = _x(across.share(tick))
        drawn.append(f'<path d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#e7e5e4"/>\n')
        drawn.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_words(tick)}</text>\n')
    for tick in up.ticks:
        at = _y(up.share(tick))
        drawn.append(f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="#e7e5e4"/>\n')
        drawn.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_words(tick)}</text>\n')
    return drawn


def _words(tick: float) -> str:
    return f"{tick:,.0f}".replace(",", " ") if tick >= 1 else f"{tick:g}"
