"""Which properties of a resource type can only be set at its creation."""

from dataclasses import dataclass
from functools import cache

_PROPERTIES = "/properties/"

# The registry's schema of this type says nothing about the members of its configurations. These
# are marked "Update requires: Replacement" in
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-fsx-filesystem-lustreconfiguration.html
_UNDECLARED_CREATE_ONLY = {
    "AWS::FSx::FileSystem": (
        "FileSystemTypeVersion",
        "LustreConfiguration/CopyTagsToBackups",
        "LustreConfiguration/DeploymentType",
        "LustreConfiguration/DriveCacheType",
        "LustreConfiguration/ExportPath",
        "LustreConfiguration/ImportPath",
        "LustreConfiguration/ImportedFileChunkSize",
    ),
}
# The page above does not promise an update of EFA, and UpdateFileSystem does not take it:
# https://docs.aws.amazon.com/fsx/latest/APIReference/API_UpdateFileSystemLustreConfiguration.html
# Throughput is marked as replacing there, but as updatable in the API for persistent volumes.
_UNDECLARED_CONDITIONAL = {
    "AWS::FSx::FileSystem": (
        "LustreConfiguration/EfaEnabled",
        "LustreConfiguration/PerUnitStorageThroughput",
    ),
}


@dataclass(frozen=True)
class ResourceSchema:
    """Paths of properties, as ``Name/Nested/*/Name``, of one resource type.

    ``create_only`` ones replace the resource when they change, ``conditional_create_only`` ones
    replace it in some cases, and ``read_only`` ones are the attributes that the service generates.
    """

    create_only: tuple[str, ...]
    conditional_create_only: tuple[str, ...]
    read_only: tuple[str, ...]


@cache
def resource_schema(resource_type: str, region: str) -> ResourceSchema | None:
    """Return the schema of ``resource_type`` in ``region``, or ``None`` where nobody declares it.

    The source is the CloudFormation registry data that cfn-lint carries, and what it lacks. How a
    type is updated does not depend on the region, so that a type missing there is looked up in
    us-east-1, which has the most.
    """
    # cfn-lint is a development dependency that takes 0.3 s to import, and only `diff` needs it.
    from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

    regions = [name for name in (region, "us-east-1") if name in REGIONS]
    known = PROVIDER_SCHEMA_MANAGER.get_resource_schemas_by_regions
    for _, found in known(resource_type, regions):
        schema = found.schema
        return ResourceSchema(
            create_only=(
                *_paths(schema.get("createOnlyProperties", [])),
                *_UNDECLARED_CREATE_ONLY.get(resource_type, ()),
            ),
            conditional_create_only=(
                *_paths(schema.get("conditionalCreateOnlyProperties", [])),
                *_UNDECLARED_CONDITIONAL.get(resource_type, ()),
            ),
            read_only=_paths(schema.get("readOnlyProperties", [])),
        )
    return None


@cache
def handler_permissions(resource_type: str) -> frozenset[str]:
    """Return the IAM actions that CloudFormation calls to make, change and remove such a resource.

    Empty for types that nobody declares, such as custom resources. The registry is known to forget
    some.
    """
    from cfnlint.helpers import REGIONS
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    known = PROVIDER_SCHEMA_MANAGER.get_resource_schemas_by_regions
    for _, found in known(resource_type, list(REGIONS)):
        handlers = found.schema.get("handlers", {})
        return frozenset(
            action for handler in handlers.values() for action in handler.get("permissions", ())
        )
    return frozenset()


def _paths(pointers: list[str]) -> tuple[str, ...]:
    return tuple(pointer.removeprefix(_PROPERTIES) for pointer in pointers)
