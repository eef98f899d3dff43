"""Files as people spoil them: the command line answers in words, and no opt-out that can be read is lost."""

import json
import random
from typing import Any

import pytest
import yaml

from tests.cli.desk import Answer, Desk, hurry
from tests.fuzz.shapes import spoiled

_SCOPE = "acme/marketing"
_HEADER = "email,status,at,reason,source,evidence"
_CANARY = "canary-5f1e9d72c0"
_NOISE = (b"\0", b"\xff", b"\xc3", b'"', b"\n", b"\r", b",", b";", b"\xef\xbb\xbf", b"\xff\xfe", b"sep=;\n", b"=1+1")


def _spoil_bytes(content: bytes, rng: random.Random) -> bytes:
    at, until = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    match rng.choice(["cut", "noise", "noise", "doubled", "end"]):
        case "cut":
            return content[:at] + content[min(until, at + 9) :]
        case "noise":
            return content[:at] + rng.choice(_NOISE) + content[at:]
        case "doubled":
            return content[:until] + content[at:]
        case _:
            return content[:at]


def _answers_in_words(answer: Answer, what: str) -> None:
    assert answer.code in range(5), f"{what}: exit code {answer.code}"
    assert "Traceback" not in answer.out + answer.err, what
    assert "fault of its own" not in answer.out + answer.err, f"{what}: {answer.err}"


# the configuration


@pytest.mark.parametrize("command", [("status",), ("explain", "ann1@example.com"), ("issues", "list"), ("plan",)])
def test_a_spoiled_configuration_is_refused_in_words(
    lonely: Desk, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)  # what is accepted although it is spoiled tries again and again to reach somebody
    rng = random.Random(" ".join(command))
    lonely.document["secret_keys"] = [_CANARY]
    refused = 0
    for _ in range(15):
        document, what = lonely.document, []
        for _ in range(rng.choice([1, 1, 2, 4])):
            document, done = spoiled(document, rng)
            what.append(done)
        lonely.path.write_text(yaml.safe_dump(document), encoding="utf-8")
        answer = lonely.optsync(*command)
        _answers_in_words(answer, f"{what}")
        assert _CANARY not in answer.out + answer.err
        refused += answer.code == 2
    assert refused > 3


def test_a_configuration_of_spoiled_bytes_is_refused_in_words(lonely: Desk) -> None:
    whole, rng, refused = lonely.path.read_bytes(), random.Random(7), 0
    for _ in range(30):
        content = whole
        for _ in range(rng.choice([1, 2, 5])):
            content = _spoil_bytes(content, rng)
        lonely.path.write_bytes(content)
        answer = lonely.optsync("status", "--json")
        _answers_in_words(answer, f"{content!r}")
        json.loads(answer.out)
        refused += answer.code == 2
    assert refused > 5


# tables of wishes


def _rows(rng: random.Random) -> list[str]:
    """A table in which everybody says no, some of them twice, and some have agreed on paper before."""
    rows = []
    for n in range(12):
        if rng.random() < 0.2:
            rows.append(f"out{n}@example.com,grant,2020-01-0{rng.randint(1, 9)},,shop,a form on paper")
        reason = rng.choice(["", "by phone", '"said ""no"", twice"', "zażółć", '"two\nlines"'])
        rows.append(f"out{n}@example.com,out,{rng.choice(['', '2024-02-03', '2025-06-07T08:09+02:00'])},{reason},,")
    return rows


def _import(desk: Desk, content: bytes, source: str) -> Any:
    path = desk.folder / "wishes.csv"
    path.write_bytes(content)
    answer = desk.optsync("import", str(path), "--scope", _SCOPE, "--source", source, "--actor", "Eve", "--json")
    _answers_in_words(answer, f"{content!r}")
    document = json.loads(answer.out)
    if answer.code == 2:
        assert document["error"] == "configuration"
        return None
    assert document["rows"] == sum(document["added"].values()) + sum(
        document[key] for key in ("known", "retracted", "refused")
    )
    assert (answer.code == 1) is (document["refused"] > 0)
    return document


@pytest.mark.parametrize("source", ["legacy", "import"])
@pytest.mark.parametrize("seed", range(6))
def test_a_spoiled_table_loses_no_row_that_can_be_read(lonely: Desk, seed: int, source: str) -> None:
    """A row that no spoiled place touches is in the ledger, or is among the refused lines, or the file is refused."""
    rng = random.Random(f"{seed} {source}")
    rows = _rows(rng)
    lines = [line.encode() for line in (_HEADER, *rows)]
    hit = rng.randrange(1, len(lines))
    lines[hit] = _spoil_bytes(lines[hit], rng)
    done = _import(lonely, b"\n".join(lines), source)
    if done is None:
        return
    refused = {n for bad in done["refusals"] for n in range(bad["line"], bad["last_line"] + 1)}
    line = 1
    for number, row in enumerate(rows, 1):
        first, line = line + 1, line + 1 + row.count("\n")
        is_intact = number != hit and not refused.intersection(range(first, line + 1))
        if is_intact and ",out," in row:
            assert _may_send(lonely, row.partition(",")[0]) is False, f"line {first}: {row}"


def _may_send(desk: Desk, email: str) -> bool:
    answer = desk.optsync("may-send", email, "--scope", _SCOPE, "--json")
    return bool(answer.json["may_send"])


@pytest.mark.parametrize("seed", range(3))
def test_no_spoiled_table_raises_anybody(lonely: Desk, seed: int) -> None:
    """Whoever said no today stays out, whatever a table says about earlier days."""
    rng = random.Random(f"{seed} raised")
    emails = [f"out{n}@example.com" for n in range(3)]
    for email in emails:
        lonely.optsync("opt-out", email, "--actor", "Eve")
    content = "\n".join([_HEADER, *(f"{e},grant,2026-01-02,,shop,a form on paper" for e in emails)]).encode()
    for _ in range(5):
        spoiled_content = content
        for _ in range(rng.choice([1, 2, 4])):
            spoiled_content = _spoil_bytes(spoiled_content, rng)
        _import(lonely, spoiled_content, rng.choice(["legacy", "import"]))
    assert not any(_may_send(lonely, email) for email in emails)
