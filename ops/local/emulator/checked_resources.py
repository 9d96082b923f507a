"""Every resource type of CloudFormation: checked against its schema, emulated where possible."""

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners, stacks

from ops.local.emulator.resource_schemas import PropertiesError, RegistrySchemas, ResourceSchema

Attributes = dict[str, Any]
Handler = dict[str, Any]

_PREFIXES = {
    "AWS::EC2::EIP": "eipalloc-",
    "AWS::EC2::FlowLog": "fl-",
    "AWS::EC2::NatGateway": "nat-",
    "AWS::FSx::DataRepositoryAssociation": "dra-",
    "AWS::FSx::FileSystem": "fs-",
}
"""How the ids of types begin that other types' schemas know by a pattern."""

_REFERRED_TO_BY_ARN = ("AWS::SecretsManager::Secret",)
"""Types of which ``Ref`` returns the ARN, and ministack the name.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
"""

_NOT_EMULATED = {"AWS::CloudWatch::Alarm": "Metrics"}
"""A property with which ministack refuses resources of a type that it emulates otherwise."""

_DIGITS = re.compile(r"[0-9a-f]{17}")

_MADE_UP: Mapping[str, Any] = {
    "integer": 1,
    "number": 1,
    "boolean": True,
    "array": [],
    "object": {},
}


class CheckedResources:
    """The handlers of all types in a region's registry, for ministack's table of them.

    Types that ministack knows keep their behaviour, and their properties are checked first. Of all
    others nothing exists but the properties, an id and the attributes: their schema is checked, and
    what they would do is not known here.
    """

    def __init__(self, schemas: RegistrySchemas) -> None:
        self._schemas = schemas
        handlers: dict[str, Handler] = provisioners._RESOURCE_HANDLERS
        self.emulated = frozenset(handlers)

    def install(self, region: str) -> None:
        """Put the handlers of a region's types in place of ministack's table."""
        handlers: dict[str, Handler] = provisioners._RESOURCE_HANDLERS
        for resource_type in self._schemas.types(region):
            if resource_type in handlers:
                checked = self._checked(resource_type, handlers[resource_type])
                beyond = _NOT_EMULATED.get(resource_type)
                handlers[resource_type] = (
                    _divided(checked, self._recorded(resource_type), beyond) if beyond else checked
                )
            elif not resource_type.startswith("AWS::CloudFormation::"):
                handlers[resource_type] = self._recorded(resource_type)
        self._replace_by_schema()

    def _schema(self, resource_type: str) -> ResourceSchema:
        region = get_region()
        schema = self._schemas.schema(resource_type, region)
        if schema is None:
            raise PropertiesError(f"{region} does not have the resource type {resource_type}.")
        return schema

    def _checked(self, resource_type: str, handler: Handler) -> Handler:
        create, update = handler["create"], handler.get("update")

        def checked_create(logical_id: str, properties: Attributes, stack: str) -> tuple[str, Any]:
            self._schema(resource_type).check(properties)
            physical_id, attributes = create(logical_id, properties, stack)
            return physical_id, _with_properties(attributes, properties)

        def checked_update(
            physical_id: str, old: Attributes, new: Attributes, *rest: Any
        ) -> tuple[str, Any]:
            self._schema(resource_type).check(new)
            # Only asked for where ministack has an update.
            made, attributes = update(physical_id, old, new, *rest)  # type: ignore[misc]
            return made, _with_properties(attributes, new)

        checked = {**handler, "create": checked_create}
        checked = {**checked, "update": checked_update} if update else checked
        return _by_arn(checked) if resource_type in _REFERRED_TO_BY_ARN else checked

    def _recorded(self, resource_type: str) -> Handler:
        def create(_logical_id: str, properties: Attributes, _stack: str) -> tuple[str, Attributes]:
            schema = self._schema(resource_type)
            schema.check(properties)
            physical_id = _identity(schema, properties)
            return physical_id, _attributes(schema, physical_id, properties)

        def update(
            physical_id: str, _old: Attributes, new: Attributes, *_rest: str
        ) -> tuple[str, Attributes]:
            schema = self._schema(resource_type)
            schema.check(new)
            return physical_id, _attributes(schema, physical_id, new)

        def delete(_physical_id: str, _properties: Attributes) -> None:
            """Forget nothing: the stack's own record was all there is."""

        return {"create": create, "update": update, "delete": delete}

    def _replace_by_schema(self) -> None:
        """Let a change of a create-only property replace a resource of any type."""
        known: Callable[[str, str], str] = provisioners._property_recreation

        def recreation(resource_type: str, name: str) -> str:
            schema = self._schemas.schema(resource_type, get_region())
            if schema is not None and name in schema.create_only:
                return "Always"
            answer = known(resource_type, name)
            # Where ministack does not say, the schema does: what is not create-only stays.
            return "Never" if schema is not None and answer == "Conditionally" else answer

        provisioners._property_recreation = recreation
        stacks._property_recreation = recreation


def _with_properties(attributes: Mapping[str, Any] | None, properties: Attributes) -> Attributes:
    """Add what ``Fn::GetAtt`` answers of a resource's own properties."""
    own = {key: value for key, value in properties.items() if not isinstance(value, dict | list)}
    return {**own, **(attributes or {})}


def _divided(emulated: Handler, recorded: Handler, name: str) -> Handler:
    """Let resources with a property of this name be recorded, and all others be emulated."""

    def chosen(properties: Attributes) -> Handler:
        return recorded if name in properties else emulated

    def create(logical_id: str, properties: Attributes, stack: str) -> Any:
        return chosen(properties)["create"](logical_id, properties, stack)

    def update(physical_id: str, old: Attributes, new: Attributes, *rest: Any) -> Any:
        handler = chosen(new)
        if handler is not chosen(old) or "update" not in handler:
            return handler["create"](rest[-1], new, rest[0])
        return handler["update"](physical_id, old, new, *rest)

    def delete(physical_id: str, properties: Attributes, *rest: Any) -> None:
        chosen(properties)["delete"](physical_id, properties, *rest)

    return {**emulated, "create": create, "update": update, "delete": delete}


def _by_arn(handler: Handler) -> Handler:
    """Let the ARN be the resource's physical id, where ministack knows it by its name."""

    def name_in(arn: str) -> str:
        # Secrets Manager adds a hyphen and six characters to the name.
        return arn.rsplit(":", 1)[-1].rsplit("-", 1)[0]

    def create(*arguments: Any) -> tuple[str, Any]:
        _, attributes = handler["create"](*arguments)
        return attributes["Arn"], attributes

    def update(physical_id: str, *rest: Any) -> tuple[str, Any]:
        _, attributes = handler["update"](name_in(physical_id), *rest)
        return attributes["Arn"], attributes

    def delete(physical_id: str, *rest: Any) -> None:
        handler["delete"](name_in(physical_id), *rest)

    return {**handler, "create": create, "update": update, "delete": delete}


def _identity(schema: ResourceSchema, properties: Attributes) -> str:
    digits = secrets.token_hex(9)[:17]
    return "|".join(
        str(properties.get(name) or _made_up(schema, name, digits)) for name in schema.identifiers
    )


def _attributes(schema: ResourceSchema, physical_id: str, properties: Attributes) -> Attributes:
    """Return what ``Fn::GetAtt`` answers; the same for the same resource at any time."""
    # Ids and ARNs of one resource have their digits in common, as policies take for granted.
    found = _DIGITS.search(physical_id)
    digits = found[0] if found else hashlib.sha256(physical_id.encode()).hexdigest()[:17]
    attributes = {name: _made_up(schema, name, digits) for name in schema.read_only}
    attributes.update(properties)
    parts = physical_id.split("|")
    attributes.update(zip(schema.identifiers, parts, strict=False))
    return attributes


def _made_up(schema: ResourceSchema, name: str, digits: str) -> Any:
    kind = schema.kind_of(name)
    if kind in _MADE_UP:
        return _MADE_UP[kind]
    _, service, resource = schema.resource_type.lower().split("::")
    last = name.rsplit(".", 1)[-1]
    if last.lower().endswith("arn"):
        return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}/{digits}"
    if last == "Version":
        return "1"
    if last == "DNSName":
        return f"{_PREFIXES.get(schema.resource_type, '')}{digits}.{service}.{get_region()}.local"
    return f"{_PREFIXES.get(schema.resource_type, '')}{digits}"
