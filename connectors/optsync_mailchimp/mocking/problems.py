"""The API's refusals: problem documents (RFC 9457) with Mailchimp's titles and details.

Wording: Mailchimp Marketing API documentation, "Errors", and answers of the live service.
"""

from collections.abc import Mapping, Sequence

TYPE = "https://mailchimp.com/developer/marketing/docs/errors/"
FIELDS_DETAIL = "The resource submitted could not be validated. For field-specific details, see the 'errors' array."

FieldError = tuple[str, str]
"""Field and message."""


class Problem(Exception):
    """A refused request; becomes an ``application/problem+json`` answer, or an error item of a bulk call."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def document(self, instance: str) -> dict[str, object]:
        """The body; ``errors`` only where fields are at fault."""
        body: dict[str, object] = {
            "type": TYPE,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        if self.errors:
            body["errors"] = [{"field": name, "message": message} for name, message in self.errors]
        return body


def invalid(detail: str) -> Problem:
    return Problem(400, "Invalid Resource", detail)


def invalid_fields(*errors: FieldError) -> Problem:
    return Problem(400, "Invalid Resource", FIELDS_DETAIL, errors=errors)


def invalid_merge_fields(errors: Sequence[FieldError]) -> Problem:
    return Problem(400, "Invalid Resource", "Your merge fields were invalid.", errors=errors)


def in_compliance_state(address: str) -> Problem:
    return Problem(
        400,
        "Member In Compliance State",
        f"{address} is in a compliance state due to unsubscribe, bounce, or compliance review"
        " and cannot be subscribed.",
    )


def member_exists(address: str) -> Problem:
    return Problem(
        400,
        "Member Exists",
        f"{address} is already a list member. Use PUT to insert or update list members.",
    )


def forgotten(address: str) -> Problem:
    return Problem(
        400,
        "Forgotten Email Not Subscribed",
        f"{address} was permanently deleted and cannot be re-imported."
        " The contact must re-subscribe to get back on the list.",
    )


def not_found() -> Problem:
    return named("ResourceNotFound")


def not_allowed(allow: str) -> Problem:
    return Problem(*NAMED["MethodNotAllowed"], headers={"Allow": allow})


def cannot_archive() -> Problem:
    return Problem(
        405,
        "Method Not Allowed",
        "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived",
        headers={"Allow": "GET, PUT"},
    )


def not_active(status: str) -> Problem:
    """A contact whose status forbids the edit."""
    return invalid_fields(("email address", f'This member\'s status is "{status}." It can not be edited.'))


def already_in_list(address: str, word: str) -> Problem:
    return invalid_fields(("email address", f'"{address}" is already in this list with a status of "{word}".'))


NAMED: Mapping[str, tuple[int, str, str]] = {
    "BadRequest": (400, "Bad Request", "Your request could not be processed."),
    "InvalidAction": (400, "Invalid Action", "The action requested was not valid for this resource."),
    "InvalidResource": (400, "Invalid Resource", "The resource submitted could not be validated."),
    "JSONParseError": (400, "JSON Parse Error", "We encountered an unspecified JSON parsing error."),
    "APIKeyMissing": (401, "API Key Missing", "Your request did not include an API key."),
    "APIKeyInvalid": (
        401,
        "API Key Invalid",
        "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
    ),
    "PaymentRequired": (402, "Payment Required", "This account has an unpaid balance."),
    "Forbidden": (403, "Forbidden", "You are not permitted to access this resource."),
    "UserDisabled": (403, "User Disabled", "This account has been deactivated."),
    "APIAccessDisabled": (403, "Authorization Failure", "API Access has been disabled for this account."),
    "WrongDatacenter": (403, "Wrong Datacenter", "The API key provided is linked to a different datacenter"),
    "ResourceNotFound": (404, "Resource Not Found", "The requested resource could not be found."),
    "MethodNotAllowed": (
        405,
        "Method Not Allowed",
        "The requested method and resource are not compatible.",
    ),
    "ResourceNestingTooDeep": (414, "Resource Nesting Too Deep", "The sub-resource requested is nested too deeply."),
    "InvalidMethodOverride": (
        422,
        "Invalid Method Override",
        "The X-HTTP-Method-Override header can only be used with the POST method.",
    ),
    "RequestedFieldsInvalid": (
        422,
        "Requested Fields Invalid",
        "The fields requested from this resource are invalid.",
    ),
    "TooManyRequests": (
        429,
        "Too Many Requests",
        "You have exceeded the limit of 10 simultaneous connections.",
    ),
    "InternalServerError": (
        500,
        "Internal Server Error",
        "A deep internal error has occurred during the processing of your request. Please contact support.",
    ),
    "ComplianceRelated": (503, "Compliance Related", "This method has been disabled."),
}
"""By the names that ``X-Trigger-Error`` takes: status, title, detail."""


def named(name: str) -> Problem:
    """Raises ``KeyError`` for a name that the API does not know."""
    return Problem(*NAMED[name])
