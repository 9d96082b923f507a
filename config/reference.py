"""The reference of configuration, written from the schema itself."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from config.environment import Environment

SCHEMA_FILE = "config/environment.schema.json"
PAGE_FILE = "docs/configuration.md"

_INTRODUCTION = f"""\
# Configuration

<!-- Written by `make docs` from the modules of config/ and llm_constructs.specs; do not edit. -->

An environment is one file, `config/<name>.toml`; its name is the file's. What the file leaves out
has the default of the tables below, and a capability whose table is left out does not exist in the
environment. A minimal file:

```toml
account = "111111111111"
region = "us-west-2"
jurisdiction = "us"

[tags]
owner = "ml-platform"
cost-center = "research"

[network.vpc]
cidr = "10.40.0.0/16"
availability_zones = ["us-west-2a", "us-west-2b"]
```

A file that cannot be used is refused before anything is built: one line for each problem, with the
file, the key, its value, why it cannot be, and what to do. Editors that read JSON Schema complete
and check the files with [`{SCHEMA_FILE}`](../{SCHEMA_FILE});
put this at the top of a file:

```toml
#:schema ./environment.schema.json
```
"""


def json_schema() -> str:
    """Return the JSON Schema of an environment's file, as text."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Environment.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """Return the reference page, as Markdown."""
    schema = Environment.model_json_schema()
    definitions: Mapping[str, Any] = schema["$defs"]
    parts = [_INTRODUCTION, *_table("top of the file", schema, definitions)]
    for key, node in _tables("", schema, definitions):
        parts.extend(_table(f"`{key}`", node, definitions))
    return "\n".join(parts)


def _tables(
    prefix: str, node: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in node.get("properties", {}).items():
        table = _referenced(value, definitions)
        if table is None:
            continue
        key = f"{prefix}{name}"
        is_list = value.get("type") == "array"
        yield (f"[[{key}]]" if is_list else f"[{key}]"), table
        yield from _tables(f"{key}.", table, definitions)


def _referenced(
    value: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the table that a property holds (or lists), or ``None`` for a plain value."""
    for candidate in (value, *value.get("anyOf", []), value.get("items", {})):
        if "$ref" in candidate:
            definition: Mapping[str, Any] = definitions[candidate["$ref"].rsplit("/", 1)[-1]]
            if "properties" in definition:
                return definition
    return None


def _table(title: str, node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## {title}\n"
    if title.startswith("`"):
        yield f"{_description(node)}\n"
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    required = set(node.get("required", []))
    for name, value in node["properties"].items():
        default = "**required**" if name in required else _default(value, definitions)
        meaning = _one_line(value.get("description", "")).replace("|", "\\|")
        yield f"| `{name}` | {_type(value, definitions)} | {default} | {meaning} |"


def _default(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    default = value.get("default")
    if default is None:
        return "none"
    if _referenced(value, definitions) is not None:
        return "see its table" if isinstance(default, dict) else f"{len(default)} entries"
    return f"`{json.dumps(default)}`"


def _type(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "anyOf" in value:
        kinds = [_type(kind, definitions) for kind in value["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in value:
        definition = definitions[value["$ref"].rsplit("/", 1)[-1]]
        if "enum" in definition:
            return "one of " + ", ".join(f"`{choice}`" for choice in definition["enum"])
        return "table"
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}), definitions)}"
    return {
        "string": "text",
        "integer": "whole number",
        "boolean": "`true` or `false`",
        "object": "table of text",
    }.get(value.get("type", ""), "value")


def _description(node: Mapping[str, Any]) -> str:
    paragraphs = node.get("description", "").split("\n\n")
    # What the constructor raises is for its callers; here the file is refused.
    return _one_line(" ".join(p for p in paragraphs if not p.startswith("Raises ")))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")
