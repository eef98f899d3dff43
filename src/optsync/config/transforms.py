"""How a field's transform is written: ``upper``, ``{map: {…}}``, or a list of such steps (a chain).

Only the settings are here. What a step does to a value belongs to the pure part, which is given its name and
its parameters.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from optsync.connect.settings import Settings

# Day, month and year all differ from each other and from their neighbours, so a format that drops one shows it.
_PROBE = date(2019, 11, 24)


class NoParameters(Settings):
    """A step that is complete by its name."""


class DateFormats(Settings):
    """How each side writes a date, in the codes of ``strftime``."""

    crm: str = Field(default="%Y-%m-%d", description='The CRM\'s form, such as "%d.%m.%Y".')
    esp: str = Field(default="%Y-%m-%d", description='The ESP\'s form, such as "%Y-%m-%d".')

    @field_validator("crm", "esp")
    @classmethod
    def _is_a_date_format(cls, value: str) -> str:
        text = _PROBE.strftime(value)
        try:
            datetime.strptime(text, value)  # noqa: DTZ007 - a date has no zone
        except ValueError:
            text = value
        if text == value:
            raise ValueError('a date format such as "%d.%m.%Y"')
        return value

    @property
    def is_reversible(self) -> bool:
        return all(_keeps_the_date(written) for written in (self.crm, self.esp))


def _keeps_the_date(written: str) -> bool:
    return datetime.strptime(_PROBE.strftime(written), written).date() == _PROBE  # noqa: DTZ007 - see above


class BooleanWords(Settings):
    """The ESP's words for true and false."""

    true: str = "Yes"
    false: str = "No"

    @model_validator(mode="after")
    def _tells_them_apart(self) -> "BooleanWords":
        if self.true == self.false:
            raise ValueError("two different words for true and false")
        return self


class NamePart(Settings):
    """Which part of a full name."""

    part: Literal["first", "last"]


class Joining(Settings):
    """This field, then those of ``with``, with ``by`` between them."""

    fields: Annotated[tuple[str, ...], Field(alias="with", min_length=1)]
    by: str = " "


class Country(Settings):
    """Whose national numbers are meant by a number without a country code."""

    country: Annotated[str, Field(pattern="^[A-Z]{2}$", description="Two letters, ISO 3166.")]


class Standard(Settings):
    """What stands for a blank."""

    value: str | bool | int | float


class Step(Settings):
    """One step: exactly one of these names, with its parameters."""

    map: Annotated[Mapping[str, str] | None, Field(min_length=1, description="The CRM's value -> the ESP's.")] = None
    date: DateFormats | None = None
    boolean: BooleanWords | None = None
    upper: NoParameters | None = None
    split_name: NamePart | None = None
    join: Joining | None = None
    phone_e164: Country | None = None
    default: Standard | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name_alone(cls, value: object) -> object:
        return {value: {}} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one(self) -> "Step":
        if len(self.model_fields_set) != 1 or self._parameters is None:
            raise ValueError(f"one transform a step: {', '.join(type(self).model_fields)}")
        return self

    @property
    def name(self) -> str:
        return next(iter(self.model_fields_set))

    @property
    def _parameters(self) -> Any:
        return getattr(self, self.name)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """As the pure part takes them: ``pairs`` of a map, the keys of the file otherwise."""
        if self.map is not None:
            return {"pairs": dict(self.map)}
        parameters: dict[str, Any] = self._parameters.model_dump(by_alias=True)
        return parameters

    @property
    def why_one_way(self) -> str | None:
        """Why the step cannot be taken back, or None if it can."""
        if self.map is not None and len(set(self.map.values())) < len(self.map):
            return "a map in which two values become the same one"
        if self.date is not None and not self.date.is_reversible:
            return "a date format that leaves out the day, the month or the year"
        return f"`{self.name}`" if self.name in {"upper", "split_name", "join", "default"} else None
