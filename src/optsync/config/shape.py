"""What a model allows at a place: its keys, and whether a secret stands there."""

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from optsync.config.places import Path


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys as the file writes them, and their fields."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def allowed(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys that the mapping at ``path`` may have; empty where any may."""
    return tuple(key for shape in _at(model, path) if _is_model(shape) for key in keys(shape))


def is_secret(model: type[BaseModel], path: Path) -> bool:
    """Whether the value at ``path``, or one around it, is a secret."""
    return any(shape is SecretStr for end in range(len(path) + 1) for shape in _at(model, path[:end]))


def _at(model: type[BaseModel], path: Path) -> list[Any]:
    shapes: list[Any] = [model]
    for part in path:
        shapes = [below for shape in shapes for below in _below(shape, part)]
    return shapes


def _below(shape: Any, part: str | int) -> Iterator[Any]:
    if _is_model(shape):
        field = keys(shape).get(str(part))
        if field is not None:
            yield from _alternatives(field.annotation)
    elif isinstance(part, int) != _is_mapping(shape) and get_args(shape):
        yield from _alternatives(get_args(shape)[-1 if _is_mapping(shape) else 0])


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types a value may have, without the wrappers."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for alternative in get_args(annotation):
            yield from _alternatives(alternative)
    else:
        yield annotation


def _is_mapping(shape: Any) -> bool:
    origin = get_origin(shape)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and get_origin(shape) is None and issubclass(shape, BaseModel)
