"""What becomes of a value that is written, and how it is shown again by the two API families."""

from typing import Any

from optsync_bitrix24.mocking.catalogue import Field
from optsync_bitrix24.mocking.moments import Moments
from optsync_bitrix24.mocking.php import elements, is_array, is_blank, php_float, php_int, php_text

DROPPED = object()
"""A value that Bitrix24 ignores without a word."""

WHOLE = frozenset({"integer", "user", "employee", "crm_company", "crm_contact", "crm_lead", "crm", "iblock_element"})
_YES = frozenset({"1", "y", "true"})


class Values:
    """Inside, times are Unix seconds, dates ``YYYY-MM-DD``, whole numbers and options ints, booleans 0 and 1."""

    def __init__(self, moments: Moments, booleans: str) -> None:
        self._moments = moments
        self._booleans = booleans

    def take(self, field: Field, raw: Any) -> Any:
        """The stored form of what a classic method was given."""
        if not field.is_multiple:
            return self._take_one(field, raw)
        if is_blank(raw):
            return []
        taken = (self._take_one(field, one) for one in elements(raw))
        return [one for one in taken if one is not DROPPED and not is_blank(one) and one != 0]

    def take_typed(self, field: Field, raw: Any) -> Any:
        """The stored form of what crm.item.* was given: what is empty for PHP becomes null, and a boolean
        custom field is true only for ``true`` and Y."""
        if field.type == "boolean":
            return 1 if raw is True or (isinstance(raw, str) and raw in ("true", "y", "Y")) else 0
        if raw in (0, "0", False, "", None) or (is_array(raw) and not raw):
            return [] if field.is_multiple else None
        return self.take(field, raw)

    def _take_one(self, field: Field, raw: Any) -> Any:  # noqa: PLR0911 - one line per type
        if is_array(raw):
            raw = next(iter(elements(raw)), "")
        text = php_text(raw)
        if field.type == "boolean":
            return int(text.lower() in _YES)
        if field.type == "char":
            return "Y" if text == "Y" else "N"
        if field.type in ("date", "datetime"):
            return self._take_time(field.type, text)
        if text == "":
            return ""
        if field.type in WHOLE:
            return php_int(raw)
        if field.type == "double":
            return php_float(raw)
        if field.type == "enumeration":
            return php_int(raw) if php_int(raw) in field.options else ""
        return DROPPED if field.type == "file" else text

    def _take_time(self, kind: str, text: str) -> Any:
        if text == "":
            return ""
        found: Any = self._moments.parse(text) if kind == "datetime" else self._moments.parse_day(text)
        return DROPPED if found is None else found

    def show(self, field: Field, stored: Any) -> Any:
        """As classic methods answer: almost everything is a string."""
        if field.is_multiple:
            return [self._show_one(field, one) for one in stored or ()]
        if field.type == "boolean" and self._booleans == "json":
            return bool(stored)
        if field.type == "date" and stored is None:
            return ""
        return self._show_one(field, stored)

    def _show_one(self, field: Field, stored: Any) -> Any:
        if stored is None or stored == "":
            return stored
        if field.type == "datetime":
            return self._moments.show(stored)
        if field.type == "date":
            return self._moments.show_date(stored)
        if field.type == "enumeration" and field.is_multiple:
            return stored
        if field.type == "double":
            return str(int(stored)) if stored.is_integer() else str(stored)
        return str(stored)

    def show_typed(self, field: Field, stored: Any) -> Any:
        """As crm.item.* answers: numbers are numbers, booleans Y and N, an empty link is 0."""
        if field.is_multiple:
            return list(stored or ())
        if field.type == "boolean":
            return "Y" if stored else "N"
        if field.type.startswith("crm_") and field.type in WHOLE:
            return stored or 0
        if stored is None or stored == "":
            return None if field.type in WHOLE or field.type in ("double", "enumeration") else stored
        if field.type in WHOLE or field.type in ("double", "enumeration"):
            return stored
        return self._show_one(field, stored)
