"""A world as a script: a list of steps, made from a seed or read from a file; it can be replayed, shortened, kept."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias

SLOTS = 6
"""Addresses in a world: few, so that things collide."""
TOPICS = ("news", "offers")
BOXES = {"news": "UF_CRM_TOPIC_NEWS", "offers": "UF_CRM_TOPIC_OFFERS"}
"""The CRM's fields of the topics."""
_KINDS = ("MAILING", "WORK", "HOME", "OTHER")
LOST_BEFORE, LOST_AFTER, TRUNCATED = "lost before", "lost after", "truncated"
LIMIT, LIMIT_BARE, BROKEN, FORBIDDEN = "429", "429 bare", "5xx", "403"
PARTIAL, STALE = "partial batch", "stale read"
FAULTS: Mapping[str, str] = {
    "drop": LOST_BEFORE,
    "timeout": LOST_BEFORE,
    "drop_after": LOST_AFTER,
    "timeout_after": LOST_AFTER,
    "error_502_after": LOST_AFTER,
    "truncated_after": TRUNCATED,
    "too_many": LIMIT,
    "too_many_bare": LIMIT_BARE,
    "error_500": BROKEN,
    "error_502": BROKEN,
    "error_503": BROKEN,
    "error_503_html": BROKEN,
    "forbidden": FORBIDDEN,
    "partial_error": PARTIAL,
    "partial_missing": PARTIAL,
    "partial_done": PARTIAL,
    "stale": STALE,
}
"""What can happen to one request -> the class that it is counted under."""
DAMAGED = "damaged"
"""How the faults begin whose answer is JSON of a wrong shape; the rest tells one from another."""
KILLED, BUSY, IN_DOUBT, OVERTAKEN, MEANWHILE = "killed", "database busy", "commit in doubt", "two daemons", "meanwhile"
LATE, SKEWED, STEPPED, PAGED, CALM = "visible late", "clock skew", "clock stepped", "small pages", "calm"
CLASSES = (
    CALM,
    *dict.fromkeys(FAULTS.values()),
    KILLED,
    BUSY,
    IN_DOUBT,
    OVERTAKEN,
    MEANWHILE,
    LATE,
    SKEWED,
    STEPPED,
    PAGED,
)
KILLS = ("before request", "after request", "before commit", "after commit")
COMMITS = {"busy": BUSY, "in doubt": IN_DOUBT}


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something to one address, ``wait`` seconds after what came before. ``late``: their system stamps
    it with now and shows it only after so many seconds more."""

    who: str
    what: str
    slot: int = 0
    other: int = 0
    wait: int = 0
    late: int = 0

    def __str__(self) -> str:
        shown = f", shown {self.late} s later" if self.late else ""
        return f"+{self.wait:>5} s  {self.who}: {self.what} {address(self.slot)} ({self.other}){shown}"


@dataclass(frozen=True, slots=True)
class Cycle:
    """A sync. ``faults``: number of the request (from 1) -> kind. ``kill``: how, and at which request or commit.
    ``commits``: number of the commit -> what the database does. ``meanwhile``: number of the request -> what happens
    while it is on its way; a cycle there is another daemon's. ``word``: what the operator says at its beginning:
    ``approve`` or ``reject`` what is held, or ``undo``, which takes the last run back instead of syncing."""

    wait: int = 0
    is_full: bool = False
    faults: Mapping[int, str] = field(default_factory=dict)
    kill: tuple[str, int] | None = None
    commits: Mapping[int, str] = field(default_factory=dict)
    meanwhile: Mapping[int, tuple["Step", ...]] = field(default_factory=dict)
    word: str = ""

    def __str__(self) -> str:
        parts = [f"+{self.wait:>5} s  sync{' --full' if self.is_full else ''}"]
        parts += [f"operator: {self.word}"] if self.word else []
        parts += [f"request {n}: {kind}" for n, kind in self.faults.items()]
        parts += [f"commit {n}: {kind}" for n, kind in self.commits.items()]
        parts += [f"killed {self.kill[0]} {self.kill[1]}"] if self.kill else []
        parts += [
            f"at request {n}: [{'; '.join(str(s).strip() for s in steps)}]" for n, steps in self.meanwhile.items()
        ]
        return ", ".join(parts)


Step: TypeAlias = Act | Cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """``policy``, ``basis``, ``conflict``, ``handled`` and ``guard`` go into the configuration; ``seed`` says who
    lives in the world; ``page`` is how many members the platform shows at a time."""

    seed: int
    people: int
    policy: Mapping[str, Any]
    basis: str
    conflict: str = "crm"
    handled: bool = False
    guard: int = 50
    crm_ahead: int = 0
    esp_ahead: int = 0
    page: int = 1000
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"steps", "policy"}}
        head = ", ".join(f"{name} {value}" for name, value in {**told, **self.policy}.items())
        return "\n".join([head, *(f"{n:>3}  {step}" for n, step in enumerate(self.steps))])


def address(slot: int) -> str:
    return f"p{slot}@example.com"


def primary_first(rows: Sequence[tuple[str, int, str]]) -> tuple[str, ...]:
    """The addresses of a CRM record by kind, then the oldest: the first is its primary one, in whatever order a merge
    has left them. ``rows``: kind, number and address of each."""
    ordered = sorted(rows, key=lambda row: (_KINDS.index(row[0]), row[1])) if len(rows) > 1 else rows
    return tuple(dict.fromkeys([mail.strip().lower() for _, _, mail in ordered]))


def dump(script: Script) -> str:
    """As JSON, to be kept as a file."""
    return json.dumps(asdict(script), indent=1, sort_keys=True)


def load(text: str) -> Script:
    """The script that :func:`dump` wrote."""
    raw = json.loads(text)
    return Script(**{**raw, "steps": tuple(_steps(raw["steps"]))})


def _steps(raw: list[dict[str, Any]]) -> Iterator[Step]:
    for each in raw:
        if "who" in each:
            yield Act(**each)
        else:
            yield Cycle(
                wait=each["wait"],
                is_full=each["is_full"],
                faults={int(n): kind for n, kind in each["faults"].items()},
                kill=tuple(each["kill"]) if each["kill"] else None,
                commits={int(n): kind for n, kind in each["commits"].items()},
                meanwhile={int(n): tuple(_steps(steps)) for n, steps in each["meanwhile"].items()},
                word=each.get("word", ""),
            )
