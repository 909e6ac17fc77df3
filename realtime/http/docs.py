"""The pages for people: the API reference, and what each kind of error means.

Rendered here from the OpenAPI document and the table of explanations, into one template that
loads nothing: no script, no font, no other file. So it works offline and under the strictest
content security policy. All text is escaped; `code` in backticks is the only markup.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote

import msgspec

from realtime.http.explanations import AT_THE_SERVER, EXPLANATIONS, INTRODUCTION, Explanation
from realtime.http.schema_text import describe, rows_of

__all__ = ["curl", "errors", "reference"]

Json = Mapping[str, Any]

BASE = "http://127.0.0.1:8080"
"""Where the service listens unless told otherwise; the examples are to be pasted."""


def reference(document: Json) -> str:
    """The page at /docs."""
    operations = list(_operations(document))
    info = document["info"]
    tags = [tag for tag in document["tags"] if any(_tag(one) == tag["name"] for one in operations)]
    contents = [f'<h1><a href="#top">{escape(info["title"])}</a></h1>', _links(info["version"])]
    main = [
        f'<h1 id="top">{escape(info["title"])}</h1>',
        f'<p class="lead">{escape(info["summary"])}</p>',
        _prose(info["description"]),
    ]
    for tag in tags:
        ours = [one for one in operations if _tag(one) == tag["name"]]
        contents.append(_contents(tag["name"], ours))
        main.append(f'<h2 id="{tag["name"]}">{escape(tag["name"].capitalize())}</h2>')
        main.append(f'<p class="lead">{escape(tag["description"])}</p>')
        main += [_operation(document, *one) for one in ours]
    main.append('<h2 id="errors">Errors</h2>')
    main.append(_error_table())
    schemas = document["components"]["schemas"]
    main.append('<h2 id="schemas">Schemas</h2>')
    main += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    return _page(info["title"], "".join(contents), "".join(main))


def errors() -> str:
    """The page at /docs/errors."""
    listed = [*EXPLANATIONS, *AT_THE_SERVER]
    links = "".join(
        f'<li><a href="#{one.code}"><span class="method">{one.status}</span>'
        f"<span>{escape(one.title)}</span></a></li>"
        for one in listed
    )
    main = ['<h1 id="top">Errors</h1>', _prose(INTRODUCTION)]
    main += [_explanation(one) for one in EXPLANATIONS]
    main.append("<h2>Cut off by the server</h2>")
    main.append("<p>Before a request is complete, the server itself answers.</p>")
    main += [_explanation(one) for one in AT_THE_SERVER]
    return _page(
        "Errors", f'<h1>Errors</h1><a href="/docs">API reference</a><ul>{links}</ul>', "".join(main)
    )


def curl(document: Json, path: str, method: str, operation: Json) -> str:
    """A command that makes the example request."""
    parts = ["curl -sS"]
    if method != "get":
        parts[0] += f" -X {method.upper()}"
    if _streams(operation):
        parts[0] += " -N"
    query: list[str] = []
    for parameter in _parameters(document, operation):
        shown = parameter.get("example")
        if shown is None:
            continue
        text = ",".join(map(str, shown)) if isinstance(shown, list) else str(shown)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(text, safe=""))
        elif parameter["in"] == "query":
            query.append(f"{parameter['name']}={quote(text, safe=',')}")
        elif parameter["required"]:
            parts.append("-H " + shlex.quote(f"{parameter['name']}: {text}"))
    example = _media(operation.get("requestBody")).get("example")
    if example is not None:
        parts.append(f"--json {shlex.quote(_json(example))}")
    address = f"{BASE}{path}" + (f"?{'&'.join(query)}" if query else "")
    parts[0] += " " + shlex.quote(address)
    return " \\\n  ".join(parts)


def _streams(operation: Json) -> bool:
    """Whether an answer comes piece by piece."""
    answers: Iterable[Json] = operation["responses"].values()
    return any("text/event-stream" in one.get("content", ()) for one in answers)


def _operations(document: Json) -> Iterable[tuple[str, str, Json]]:
    for path, entry in document["paths"].items():
        for method, operation in entry.items():
            yield path, method, operation


def _tag(one: tuple[str, str, Json]) -> str:
    tag: str = one[2]["tags"][0]
    return tag


def _page(title: str, contents: str, main: str) -> str:
    template = files(__package__).joinpath("docs.html").read_text(encoding="utf-8")
    return Template(template).substitute(title=escape(title), contents=contents, main=main)


def _links(version: str) -> str:
    return (
        f"<p>version {escape(version)}<br>"
        '<a href="/openapi.json">openapi.json</a> · <a href="#errors">errors</a> · '
        '<a href="#schemas">schemas</a></p>'
    )


def _contents(tag: str, operations: Iterable[tuple[str, str, Json]]) -> str:
    items = "".join(
        f'<li><a href="#{operation["operationId"]}">{_badge(method)}'
        f"<span>{escape(operation['summary'])}</span></a></li>"
        for _, method, operation in operations
    )
    return f'<h2><a href="#{tag}">{escape(tag)}</a></h2><ul>{items}</ul>'


def _badge(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span> '


def _operation(document: Json, path: str, method: str, operation: Json) -> str:
    scopes = [scope for one in operation["security"] for scope in one["bearer"]]
    parts = [
        f'<section class="operation" id="{operation["operationId"]}">',
        f'<span class="scope">{escape(", ".join(scopes))}</span>' if scopes else "",
        f"<h3>{escape(operation['summary'])}</h3>",
        f'<p class="route">{_badge(method)}{escape(path)}</p>',
        _prose(operation["description"]),
        _parameter_table(document, operation),
        _body(document, operation.get("requestBody")),
        f"<h4>Example</h4>{_code(curl(document, path, method, operation))}",
        _answers(operation),
        "</section>",
    ]
    return "".join(parts)


def _parameters(document: Json, operation: Json) -> list[Json]:
    found: list[Json] = operation.get("parameters", [])
    return found


def _parameter_table(document: Json, operation: Json) -> str:
    rows = [
        (
            f"{one['name']}",
            f"{describe(one['schema'])} ({one['in']})",
            one.get("description", ""),
            bool(one["required"]),
        )
        for one in _parameters(document, operation)
    ]
    return f"<h4>Parameters</h4>{_table(rows)}" if rows else ""


def _body(document: Json, body: Json | None) -> str:
    """The fields of the body, or of each of its alternatives."""
    schema = _media(body).get("schema")
    if body is None or schema is None:
        return ""
    optional = "" if body["required"] else " (may be left out)"
    parts: list[str] = []
    if not schema:
        (media,) = body["content"]
        return f"<h4>Body{optional}</h4><p>{escape(media)}</p>"
    for alternative in schema.get("anyOf", [schema]):
        name = alternative["$ref"].rpartition("/")[2]
        rows = rows_of(document["components"]["schemas"][name])
        parts.append(f"<h4>{'or' if parts else 'Body'}{optional}</h4>{_table(rows)}")
    return "".join(parts)


def _answers(operation: Json) -> str:
    parts: list[str] = []
    statuses: list[str] = []
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            code = answer["$ref"].rpartition("/")[2]
            statuses.append(f'<a href="/docs/errors#{code}">{status} {escape(code)}</a>')
            continue
        content = _media(answer)
        kind = f" {_links_of(describe(content['schema']))}" if "schema" in content else ""
        parts.append(f"<h4>Answer</h4><p>{status} {escape(answer['description'])}{kind}</p>")
        if "example" in content:
            parts.append(_code(_json(content["example"], indent=2)))
        headers = [
            (name, "header", one.get("description", ""), False)
            for name, one in answer.get("headers", {}).items()
        ]
        parts.append(_table(headers))
    return "".join(parts) + f'<p class="statuses">{"".join(statuses)}</p>'


def _media(body: Json | None) -> Json:
    content = (body or {}).get("content", {})
    media: Json = next(iter(content.values()), {})
    return media


def _schema(name: str, schema: Json) -> str:
    return (
        f'<section class="operation" id="schema-{name}"><h3>{name}</h3>'
        f"{_prose(schema.get('description', ''))}{_table(rows_of(schema))}</section>"
    )


def _error_table() -> str:
    rows = "".join(
        f'<tr><td><a href="/docs/errors#{one.code}">{one.status} {escape(one.title)}</a></td>'
        f"<td colspan=2>{_inline(one.when)}</td></tr>"
        for one in EXPLANATIONS
    )
    return f"<table>{rows}</table>"


def _table(rows: Iterable[tuple[str, str, str, bool]]) -> str:
    lines = [
        f"<tr><td><code>{escape(name)}</code>"
        f"{'<span class=required>required</span>' if required else ''}</td>"
        f"<td>{_links_of(kind)}</td><td>{_inline(text)}</td></tr>"
        for name, kind, text, required in rows
    ]
    return f"<table>{''.join(lines)}</table>" if lines else ""


def _explanation(one: Explanation) -> str:
    return (
        f'<section class="operation" id="{one.code}"><h3>{one.status} {escape(one.title)}</h3>'
        f'<p class="route">/docs/errors#{one.code}</p>'
        f"<p>{_inline(one.when)}</p><p>{_inline(one.remedy)}</p></section>"
    )


def _prose(text: str) -> str:
    """Paragraphs parted by empty lines, and fenced blocks."""
    parts: list[str] = []
    for block in filter(None, text.strip().split("\n\n")):
        if block.startswith("```"):
            inside = block.partition("\n")[2].rpartition("\n")[0]
            parts.append(_code(inside))
        else:
            parts.append(f"<p>{_inline(block)}</p>")
    return "".join(parts)


def _code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _links_of(kind: str) -> str:
    """The description of a type, its names of schemas as links."""
    return re.sub(r"\[(\w+)\]", r'<a href="#schema-\1">\1</a>', escape(kind))


def _json(value: object, indent: int = 0) -> str:
    text = msgspec.json.encode(value)
    return (msgspec.json.format(text, indent=indent) if indent else text).decode()
