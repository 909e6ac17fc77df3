"""What each kind of problem means and what to do about it, for people.

The page at /docs/errors and docs/errors.md are both made from this table. The first part are
our own errors, by code; the second is what the server says of requests that never became one.
"""

from __future__ import annotations

from textwrap import fill
from typing import NamedTuple

__all__ = ["AT_THE_SERVER", "EXPLANATIONS", "INTRODUCTION", "Explanation", "markdown"]


class Explanation(NamedTuple):
    """One kind of problem; ``code`` is the fragment of its ``type``."""

    code: str
    status: int
    title: str
    when: str
    remedy: str


EXPLANATIONS = (
    Explanation(
        "invalid-request",
        400,
        "Invalid request",
        "The request could not be read: its body is not JSON, or is nested deeper than 64 levels; "
        "something is not UTF-8; a percent sign in the URL lacks its two digits; a header is "
        "missing, malformed or given twice.",
        "Correct the request. `detail` says which part could not be read.",
    ),
    Explanation(
        "unauthorized",
        401,
        "Unauthorized",
        "There is no `Authorization: Bearer <key>` header, or the key in it is not one of this "
        "service, no longer one, or expired.",
        "Send a key. `realtime keys create` makes one.",
    ),
    Explanation(
        "forbidden",
        403,
        "Forbidden",
        "The key is good, but its scopes do not cover this operation; or the channel is one that "
        "only the service publishes on; or the service has no keys yet, and a web page of another "
        "machine asks.",
        "Use a key with the scope that `detail` names, such as `leaderboards:write`.",
    ),
    Explanation(
        "not-found",
        404,
        "Not found",
        "There is no such route; or what the path names does not exist, has expired or was "
        "deleted.",
        "Check the path. Names in it must be percent-encoded.",
    ),
    Explanation(
        "method-not-allowed",
        405,
        "Method not allowed",
        "The path exists, but not with this method.",
        "Use one of the methods in the `Allow` header.",
    ),
    Explanation(
        "conflict",
        409,
        "Conflict",
        "The state of things forbids it: a counter would leave its bounds, the offsets of a "
        "channel began anew, a request with the same `Idempotency-Key` is still under way, or "
        "something of another kind is stored under the name.",
        "Read the current state and decide. Under way: wait a moment and send it again.",
    ),
    Explanation(
        "gone",
        410,
        "Gone",
        "A cursor is of a board that was deleted since, or began anew.",
        "Begin to page again, with `cursor=start`.",
    ),
    Explanation(
        "version-conflict",
        412,
        "Version conflict",
        "The session has another version than `If-Match` demands: somebody changed it since you "
        "read it.",
        "Read it again, apply your change to what you find, and send that with the new version.",
    ),
    Explanation(
        "too-large",
        413,
        "Too large",
        "The body, the data of a session or the answers of a batch exceed their bound.",
        "Send less at once. The bound of a body is a setting, 1 MiB by default.",
    ),
    Explanation(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "The body is declared as something else than `application/json` in UTF-8. curl does that "
        "with `-d`.",
        "Send `Content-Type: application/json`; with curl, use `--json`.",
    ),
    Explanation(
        "invalid-input",
        422,
        "Invalid input",
        "The request was understood and is wrong: a field of the wrong type, a field or query "
        "parameter that does not exist, a number out of bounds, a name that is too long or holds "
        "control characters, or an `Idempotency-Key` that was used with another request.",
        "Correct it. `path` is the JSON path of the fault where it lies in the body, as in "
        "`$.entries[3].score`.",
    ),
    Explanation(
        "too-many-requests",
        429,
        "Too many requests",
        "A channel, or a user, is published to more often than its namespace allows. Nothing was "
        "done.",
        "Wait for the seconds in `Retry-After`, and send less often. The rates stand in "
        "`GET /v1/admin/namespaces`.",
    ),
    Explanation(
        "internal-error",
        500,
        "Internal error",
        "Our fault. Whether the request took effect is not known.",
        "Look for the `reference` in the log of the service; the traceback stands there.",
    ),
    Explanation(
        "unavailable",
        503,
        "Unavailable",
        "The service is loading or shutting down, its store does not answer, or what is written "
        "could not be brought to disk just now; reads go on then.",
        "Try again after the seconds in `Retry-After`. With an `Idempotency-Key` that is safe for "
        "writes too.",
    ),
)

AT_THE_SERVER = (
    Explanation(
        "bad-request",
        400,
        "Bad Request",
        "What came is not HTTP/1.1, or does not name its host exactly once. The connection is "
        "closed.",
        "Use an HTTP client.",
    ),
    Explanation(
        "request-timeout",
        408,
        "Request Timeout",
        "The request took too long to arrive. The connection is closed.",
        "Send it faster, or in smaller parts.",
    ),
    Explanation(
        "request-header-fields-too-large",
        431,
        "Request Header Fields Too Large",
        "The request line and the headers are too large or too many. The connection is closed.",
        "Send fewer or shorter headers; the bound is a setting, 32 KiB by default.",
    ),
    Explanation(
        "internal-server-error",
        500,
        "Internal Server Error",
        "Our fault. Whether the request took effect is not known. The connection is closed.",
        "Look into the log of the service; the traceback stands there.",
    ),
    Explanation(
        "service-unavailable",
        503,
        "Service Unavailable",
        "There are too many connections, or nothing is loaded yet. This connection is closed.",
        "Share connections between requests; try again later.",
    ),
)

INTRODUCTION = """\
Every error is a document of type `application/problem+json` (RFC 9457):

```json
{
  "type": "/docs/errors#invalid-input",
  "title": "Invalid input",
  "status": 422,
  "detail": "Expected `float`, got `str`",
  "path": "$.score"
}
```

`type` is stable: decide by it, or by the status. `detail` is for people and may change. `path` is
there if the fault lies in the body, `reference` if it is ours. A request that is answered with a
4xx has changed nothing."""


def markdown() -> str:
    """The text of docs/errors.md."""
    parts = ["# Errors", INTRODUCTION]
    parts += [_section(one) for one in EXPLANATIONS]
    parts += ["# Cut off by the server", "Before a request is complete, the server itself answers."]
    parts += [_section(one) for one in AT_THE_SERVER]
    return "\n\n".join(parts) + "\n"


def _section(one: Explanation) -> str:
    when = fill(f"**{one.status} {one.title}.** {one.when}", width=100)
    return f"## {one.code}\n\n{when}\n\n{fill(one.remedy, width=100)}"
