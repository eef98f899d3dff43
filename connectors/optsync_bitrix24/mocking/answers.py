"""What a REST method gives back, and how it refuses."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, kw_only=True)
class Result:
    """``total`` and ``next`` belong to lists."""

    value: Any
    total: int | None = None
    next: int | None = None


class RestError(Exception):
    """A refusal in Bitrix24's words; ``code`` may be empty or a number."""

    def __init__(self, code: str | int, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.text}
