"""Whatever is done to a file, it loads or is refused in words; it never crashes and never shows a secret."""

import random
import re
import traceback
from pathlib import Path

import pytest

from optsync.config.load import load
from optsync.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
CANARY = "canary-5f1e9d72c0"
SECRETS = ("OPTSYNC_SECRET", "OPTSYNC_API_TOKEN", "BITRIX24_WEBHOOK_URL", "MAILCHIMP_API_KEY")
VENDORS = {"bitrix24": "desk", "webhook_url": "hook", "mailchimp": "post"}
ODD = (
    "[]",
    "{}",
    "~",
    "1",
    "true",
    '"${OPTSYNC_SECRET}"',
    "[[]]",
    "{upper: {}}",
    "-5",
    ".nan",
    "!x y",
    "[{}]",
    "{1: 2}",
)
VALUE = re.compile(r": *([^,{}\[\]]+|\{[^{}]*\}|\[[^\[\]]*\])")


def _lines() -> list[str]:
    text = EXAMPLE.read_text(encoding="utf-8")
    for vendor, stand_in in VENDORS.items():
        text = text.replace(vendor, stand_in)
    return [re.sub(r"\s+#.*", "", line) for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]


def _mutate(lines: list[str], rng: random.Random) -> None:
    index = rng.randrange(len(lines))
    values = list(VALUE.finditer(lines[index]))
    kind = rng.random()
    if kind < 0.25:
        del lines[index]
    elif kind < 0.85 and values:
        value = rng.choice(values)
        lines[index] = lines[index][: value.start(1)] + rng.choice(ODD) + lines[index][value.end(1) :]
    else:
        lines.insert(index, rng.choice(lines))


def _refusal(path: Path) -> ConfigError | None:
    try:
        load(path, dict.fromkeys(SECRETS, CANARY))
    except ConfigError as error:
        return error
    return None


@pytest.mark.parametrize("seed", range(100))
def test_a_mutated_file_loads_or_is_refused_in_words(seed: int, tmp_path: Path) -> None:
    rng, lines, path = random.Random(seed), _lines(), tmp_path / "config.yaml"
    for _ in range(rng.randint(1, 4)):
        _mutate(lines, rng)
    path.write_text("\n".join(lines), encoding="utf-8")
    refusal = _refusal(path)
    assert refusal is None or refusal.faults
    assert CANARY not in "".join(traceback.format_exception(refusal))


def test_unmutated_it_loads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(_lines()), encoding="utf-8")
    assert load(path, dict.fromkeys(SECRETS, CANARY)).systems.keys() == {"crm", "mc"}
