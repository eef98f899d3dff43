"""Validates a part of the document; takes out what is wrong and goes on, so that one look shows every fault."""

from collections import defaultdict
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from optsync.config import shape, wording
from optsync.config.places import Document, Path
from optsync.connect.redact import Redactor

M = TypeVar("M", bound=BaseModel)


class Validator:
    """Knows the document and which places of it turned out to be wrong."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._removed: dict[Path, list[int]] = defaultdict(list)
        self._filled_in = Redactor(str(document.get(path)) for path in document.hidden - document.broken)
        self.faulty: set[Path] = set(document.broken)

    def report(self, path: Path, found: str, expected: str) -> None:
        """Adds a fault of the place as the document now is (list items taken out before it are counted in)."""
        written = self.written(path)
        self.faulty.add(written)
        self._document.faults.append(self._document.fault(written, found, expected))

    def report_check(self, path: Path, found: str, expected: str) -> None:
        """The same for the words of a check, which may quote values from elsewhere."""
        self.report(path, self._filled_in.secrets(found), self._filled_in.secrets(expected))

    def found(self, path: Path, *, secret: bool = False) -> str:
        """What stands there, in words."""
        written = self.written(path)
        is_hidden = secret or any(written[:end] in self._document.hidden for end in range(len(written) + 1))
        return wording.found(self._document.get(path), written, is_hidden=is_hidden)

    def touches_fault(self, path: Path) -> bool:
        """Whether something at, around or inside that place is reported already."""
        written = self.written(path)
        return any(_overlap(written, faulty) for faulty in self.faulty)

    def written(self, path: Path) -> Path:
        """Where the file has what the document now has at ``path``."""
        result: list[str | int] = []
        for depth, part in enumerate(path):
            index = part
            if isinstance(index, int):
                for gone in sorted(self._removed[path[:depth]]):
                    index += gone <= index
            result.append(index)
        return tuple(result)

    def model(self, model: type[M], path: Path, *, tolerate_unknown: bool = False) -> M | None:
        """The validated value, without its faulty keys; None if nothing is left that is valid.

        ``tolerate_unknown`` drops unknown keys without a fault: where it is not known what may stand there.
        """
        while True:
            try:
                return model.model_validate(self._document.get(path))
            except ValidationError as error:
                errors = error.errors(include_url=False)
            self._excuse_misspelt(path, errors)
            wrong = [self._handle(model, path, dict(item), tolerate_unknown=tolerate_unknown) for item in errors]
            for target in sorted(filter(None, wrong), key=_deepest_last_first):
                if not self._remove(target, path):
                    return None

    def _excuse_misspelt(self, path: Path, errors: list[ErrorDetails]) -> None:
        """An unknown ``evry`` beside a missing ``every`` is one mistake, and the unknown key's message names both."""
        missing = [error["loc"] for error in errors if error["type"] == "missing"]
        for loc in (error["loc"] for error in errors if error["type"] == "extra_forbidden"):
            beside = [str(other[-1]) for other in missing if other[:-1] == loc[:-1]]
            for name in wording.close(str(loc[-1]), beside):
                self.faulty.add(self.written(self._resolve(path, (*loc[:-1], name))))

    def _handle(
        self, model: type[BaseModel], path: Path, error: dict[str, Any], *, tolerate_unknown: bool
    ) -> Path | None:
        """Reports one error unless an earlier one caused it; answers what is to be taken out."""
        place = self._resolve(path, error["loc"])
        if error["type"] == "string_type" and self._take_as_text(place):
            return None
        if error["type"] == "default_factory_not_called":
            return None
        is_unknown = error["type"] == "extra_forbidden"
        if not self._is_consequence(place) and not (is_unknown and tolerate_unknown):
            found, expected = self._words(model, path, place, error)
            self.report(place, found, expected)
        self.faulty.add(self.written(place))
        return place

    def _words(self, model: type[BaseModel], path: Path, place: Path, error: dict[str, Any]) -> tuple[str, str]:
        secret = shape.is_secret(model, place[len(path) :])
        if error["type"] == "extra_forbidden":
            inside = tuple(part for part in error["loc"][:-1] if part is not None)
            names = shape.allowed(model, inside)
            is_key = place[-1:] == error["loc"][-1:]
            return "an unknown key" if is_key else self.found(place), wording.choice(str(error["loc"][-1]), names)
        context = {**error.get("ctx", {}), "is_text": isinstance(self._document.get(place), str)}
        expected = wording.expected(error["type"], error["msg"], context)
        return self.found(place, secret=secret), Redactor(self._secrets(model, path)).secrets(expected)

    def _secrets(self, model: type[BaseModel], path: Path) -> list[str]:
        """Hidden texts inside the part: a connector's validator may quote what it was given."""
        document = self._document
        places = (place for place in {*document.texts, *document.hidden} if place[: len(path)] == path)
        values = ((place, document.get(place)) for place in places)
        return [
            value
            for place, value in values
            if isinstance(value, str) and self._is_secret(model, place, len(path), value)
        ]

    def _is_secret(self, model: type[BaseModel], place: Path, root: int, value: str) -> bool:
        is_hidden = place in self._document.hidden or shape.is_secret(model, place[root:])
        return wording.found(value, place, is_hidden=is_hidden) == wording.HIDDEN

    def _resolve(self, path: Path, loc: tuple[str | int, ...]) -> Path:
        """The place in the document that pydantic's location means, which counts what a shorthand leaves out."""
        here: Any = self._document.get(path)
        for part in loc:
            if isinstance(here, dict) and isinstance(part, str) and part != "[key]":
                here, path = here.get(part, _ABSENT), (*path, part)
            elif isinstance(here, list) and isinstance(part, int):
                here, path = here[part] if part < len(here) else _ABSENT, (*path, part)
        return path

    def _take_as_text(self, place: Path) -> bool:
        """A number where text belongs (an audience called 123e45) is the text as it is written."""
        value = self._document.get(place)
        text = self._document.texts.get(self.written(place))
        if text is None or isinstance(value, str | bool) or value is None:
            return False
        self._document.put(place, text)
        return True

    def _is_consequence(self, place: Path) -> bool:
        written = self.written(place)
        return any(faulty[: len(written)] == written for faulty in self.faulty)

    def _remove(self, target: Path, root: Path) -> bool:
        """Takes the place out, or what is around it if it is not there; False if that is the whole part."""
        while len(target) > len(root):
            parent, part = self._document.get(target[:-1]), target[-1]
            if isinstance(parent, dict) and part in parent:
                del parent[part]
                return True
            if isinstance(parent, list) and isinstance(part, int) and part < len(parent):
                self._removed[target[:-1]].append(self.written(target)[-1])  # type: ignore[arg-type]
                del parent[part]
                return True
            target = target[:-1]
        return False


_ABSENT: Any = object()


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _deepest_last_first(path: Path) -> tuple[int, list[tuple[int, str]]]:
    """Later list items before earlier ones, so that what is still to be taken out keeps its index."""
    return -len(path), [(-part, "") if isinstance(part, int) else (0, part) for part in path]
