"""Answers of a service in trouble: limits, the edge network, broken gateways."""

from collections.abc import Mapping

import msgspec

from optsync.connect.mock import MockResponse

_HTML = {"Content-Type": "text/html"}
_AKAMAI = msgspec.json.encode(
    {"type": "akamai_error_message", "title": "akamai_503", "status": 503, "ref_no": "Reference Number: 00.0"}
)

EDGE: Mapping[str, MockResponse] = {
    "edge_429": MockResponse(status=429, headers=_HTML, body=b"Too Many Requests"),
    "edge_403": MockResponse(status=403, headers=_HTML, body=b"<html><h1>Access Denied</h1></html>"),
    "gateway_502": MockResponse(status=502, headers=_HTML, body=b"<html><h1>502 Bad Gateway</h1></html>"),
    "akamai_503": MockResponse(status=503, headers={"Content-Type": "application/json"}, body=_AKAMAI),
}
"""Failures that are no problem documents, by name."""

LOST = "lost_answer"
"""The request is carried out and the connection breaks before the answer."""
