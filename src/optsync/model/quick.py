"""Immutable values of which a sync makes many."""

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["quick_dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass as quick_dataclass
else:

    def quick_dataclass(*, frozen: bool, **options: Any) -> Any:
        """As ``dataclass``. That nobody changes an instance is what the type checker sees to: at run time a frozen one
        is made in three times the time, since each of its parts has to get past its own refusal."""
        return dataclasses.dataclass(unsafe_hash=frozen, **options)
