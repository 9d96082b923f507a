"""Whether objects are what the schemas of the cluster's version and of its CRDs say."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import yaml

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import AppliedObject, ClusterContents

CRD_SOURCES: Final[Mapping[str, str]] = {
    "karpenter.k8s.aws": "the chart karpenter-crd",
    "karpenter.sh": "the chart karpenter-crd",
    "keda.sh": "the chart keda",
    "kueue.x-k8s.io": "the chart kueue",
    "leaderworkerset.x-k8s.io": "the chart lws",
    "elbv2.k8s.aws": "the chart aws-load-balancer-controller",
    "eks.amazonaws.com": "EKS Auto Mode, which publishes none",
}
"""Where the schemas of each API group come from that is not Kubernetes' own."""

_SAME_SPECIFICATION: Final[Mapping[str, str]] = {
    "ClusterTriggerAuthentication": "TriggerAuthentication"
}
"""Kinds whose specification is of the same Go type.

https://github.com/kedacore/keda/blob/main/apis/keda/v1alpha1/triggerauthentication_types.go
"""


class ObjectSchemas:
    """The schemas of Kubernetes' own objects, and of every CRD in ``crds``.

    ``crds`` are YAML files. Fields that a schema does not have are refused, as the API server
    refuses them under strict validation. Rules in CEL are not evaluated.
    """

    def __init__(self, crds: Iterable[Path] = ()) -> None:
        self._crds = {
            kind: jsonschema.Draft202012Validator(schema) for kind, schema in _schemas(crds)
        }

    def add(self, definitions: Iterable[Mapping[str, Any]]) -> None:
        """Add the schemas of CustomResourceDefinitions that a chart brings."""
        for definition in definitions:
            for kind, schema in schemas_of(definition):
                self._crds[kind] = jsonschema.Draft202012Validator(schema)

    def check(self, contents: ClusterContents, problems: Problems) -> tuple[AppliedObject, ...]:
        """Note every object that its schema refuses; return those without a schema.

        An object of a group that nobody here knows is a problem as well.
        """
        unchecked = []
        for made in contents.objects:
            try:
                if not self._validate(made, contents.version):
                    unchecked.append(made)
            except jsonschema.ValidationError as error:
                problems.add(
                    made.title,
                    ".".join(str(part) for part in error.absolute_path) or None,
                    f"Its schema refuses it: {error.message.splitlines()[0]}",
                    "Correct the object.",
                )
        for made in unchecked:
            problems.require(
                made.group in CRD_SOURCES,
                made.title,
                made.body["apiVersion"],
                "Nothing here knows this API group.",
                "Correct it, or say in ops/kubernetes/object_schemas.py where its CRDs come from.",
            )
        return tuple(unchecked)

    def _validate(self, made: AppliedObject, kubernetes_version: str) -> bool:
        body = dict(made.body)
        api_version = str(body["apiVersion"]).rpartition("/")[2]
        kind = _SAME_SPECIFICATION.get(made.kind, made.kind)
        validator = self._crds.get((made.group, kind, api_version))
        if validator is not None:
            validator.validate({**body, "kind": kind})
            return True
        if made.group in CRD_SOURCES:
            return False
        try:
            kubernetes_validate.validate(body, kubernetes_version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            return False
        return True


def _schemas(crds: Iterable[Path]) -> Iterator[tuple[tuple[str, str, str], Any]]:
    for file in crds:
        # The parser in C takes a tenth of the time; its wheel has it on every platform.
        for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
            if document and document.get("kind") == "CustomResourceDefinition":
                yield from schemas_of(document)


def schemas_of(definition: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """Yield group, kind and version of each schema of one CustomResourceDefinition, closed."""
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = _closed(version["schema"]["openAPIV3Schema"])
        schema.setdefault("properties", {})["metadata"] = {}
        yield (spec["group"], spec["names"]["kind"], version["name"]), schema


def _closed(schema: Any) -> Any:
    """Return the schema with unknown fields refused."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _closed(value) for key, value in schema.items()}
    if "properties" in result and not result.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    if result.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    return result
