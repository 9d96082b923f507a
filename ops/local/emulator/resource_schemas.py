"""Checks of properties against the schemas of CloudFormation's registry."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
from jsonschema import validators

_PROPERTIES = "/properties/"
_REPORTED = 5
"""As many problems of one resource are told as anybody reads at once."""


class PropertiesError(ValueError):
    """Properties that CloudFormation would refuse; the message is the reason of the failure."""


@dataclass(frozen=True)
class ResourceSchema:
    """The schema of one resource type."""

    resource_type: str
    document: Mapping[str, Any]

    @cached_property
    def identifiers(self) -> tuple[str, ...]:
        """The properties that identify a resource, in order."""
        return tuple(map(_name, self.document.get("primaryIdentifier", ())))

    @cached_property
    def read_only(self) -> tuple[str, ...]:
        """What the service makes up, as ``Fn::GetAtt`` names it."""
        return tuple(map(_name, self.document.get("readOnlyProperties", ())))

    @cached_property
    def create_only(self) -> frozenset[str]:
        """The top-level properties whose change replaces the resource."""
        names = map(_name, self.document.get("createOnlyProperties", ()))
        return frozenset(name for name in names if "." not in name)

    def kind_of(self, attribute: str) -> str:
        """Return the JSON type of an attribute, ``string`` where the schema does not say."""
        node: Any = self.document
        for part in attribute.split("."):
            node = _resolved(node, self.document).get("properties", {}).get(part, {})
        kind = _resolved(node, self.document).get("type", "string")
        return str(kind[0] if isinstance(kind, list) else kind)

    def check(self, properties: Mapping[str, Any]) -> None:
        """Compare ``properties``, after references were resolved.

        Raises:
            PropertiesError: a property is missing, unknown, read-only or of a wrong form.
        """
        found = [
            f"#/{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
            for error in self._validator.iter_errors(dict(properties))
        ]
        found += [f"#/{name}: is read-only" for name in properties if name in self._only_answered]
        if found:
            raise PropertiesError(
                f"Properties validation failed for resource of type {self.resource_type}: "
                + "; ".join(found[:_REPORTED])
            )

    @cached_property
    def _only_answered(self) -> frozenset[str]:
        return frozenset(name for name in self.read_only if "." not in name)

    @cached_property
    def _validator(self) -> Any:
        kept = ("properties", "required", "definitions", "additionalProperties")
        return _VALIDATOR({key: self.document[key] for key in kept if key in self.document})


class RegistrySchemas:
    """The schemas of a region's resource types, as cfn-lint carries them in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._indexes: dict[str, Mapping[str, str]] = {}
        self._schemas: dict[str, ResourceSchema] = {}

    def types(self, region: str) -> Mapping[str, str]:
        """Return the types that a region has."""
        if region not in self._indexes:
            file = self._directory / "providers" / f"{region}.json"
            self._indexes[region] = json.loads(file.read_text(encoding="utf-8"))
        return self._indexes[region]

    def schema(self, resource_type: str, region: str) -> ResourceSchema | None:
        """Return a type's schema, ``None`` where the region does not have the type."""
        name = self.types(region).get(resource_type)
        if name is None:
            return None
        if name not in self._schemas:
            file = self._directory / "resources" / f"{name}.json"
            document = _without_foreign_patterns(json.loads(file.read_text(encoding="utf-8")))
            self._schemas[name] = ResourceSchema(resource_type, document)
        return self._schemas[name]


def _name(pointer: str) -> str:
    path = pointer.removeprefix(_PROPERTIES).replace(_PROPERTIES, "/")
    return path.replace("/", ".")


def _resolved(node: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref", "")
    if not reference.startswith("#/"):
        return node
    for part in reference[2:].split("/"):
        document = document.get(part, {})
    return document


def _without_foreign_patterns(node: Any) -> Any:
    """Leave out patterns that are not Python's: the registry writes them for Java."""
    if isinstance(node, list):
        return [_without_foreign_patterns(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if not _is_foreign(key, value)}
    if len(kept) < len(node) and "patternProperties" not in kept:
        # What the pattern allowed would now be unknown.
        kept.pop("additionalProperties", None)
    return {key: _without_foreign_patterns(value) for key, value in kept.items()}


def _is_foreign(key: str, value: Any) -> bool:
    if key == "pattern" and isinstance(value, str):
        return not _compiles(value)
    if key == "patternProperties" and isinstance(value, dict):
        return not all(map(_compiles, value))
    return False


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _is_number(_checker: object, value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    return isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


def _is_integer(checker: object, value: object) -> bool:
    return _is_number(checker, value) and float(str(value)).is_integer()


def _is_boolean(_checker: object, value: object) -> bool:
    return isinstance(value, bool) or value in ("true", "false")


def _is_text(_checker: object, value: object) -> bool:
    return isinstance(value, str | bool | int | float)


def _pattern(
    _validator: object, pattern: str, value: object, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and not re.search(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _bound(keyword: str) -> Callable[..., Iterator[jsonschema.ValidationError]]:
    compare = jsonschema.Draft7Validator.VALIDATORS[keyword]

    def check(validator: Any, limit: float, value: Any, schema: Any) -> Any:
        number = float(value) if isinstance(value, str) and _is_number(None, value) else value
        # `None` says that the keyword does not concern the value.
        yield from compare(validator, limit, number, schema) or ()

    return check


# CloudFormation takes scalars in each other's place: "5" is a number, 5 a string.
_VALIDATOR = validators.create(
    jsonschema.Draft7Validator.META_SCHEMA,
    {
        key: jsonschema.Draft7Validator.VALIDATORS[key]
        for key in (
            *("type", "required", "properties", "additionalProperties", "patternProperties"),
            *("items", "$ref", "enum", "const", "oneOf", "anyOf", "allOf", "not"),
            *("minItems", "maxItems", "minLength", "maxLength", "uniqueItems"),
            *("dependencies", "if"),
        )
    }
    | {"pattern": _pattern, "minimum": _bound("minimum"), "maximum": _bound("maximum")},
    type_checker=jsonschema.Draft7Validator.TYPE_CHECKER.redefine_many(
        {
            "number": _is_number,
            "integer": _is_integer,
            "boolean": _is_boolean,
            "string": _is_text,
        }
    ),
)
