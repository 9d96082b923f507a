"""Schemas of custom resources, as the API server applies them."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CRDS = os.environ.get("KUBERNETES_CRDS")
"""A folder with CustomResourceDefinitions: of Karpenter as its chart karpenter-crd has them, and of
KEDA and LeaderWorkerSet as theirs do."""


@cache
def schemas() -> dict[str, Any]:
    """Return the schema of each kind, at its storage version, with unknown fields refused."""
    found = {}
    for file in Path(CRDS or "").glob("*.yaml"):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        for version in definition["spec"]["versions"]:
            if version["storage"]:
                kind = definition["spec"]["names"]["kind"]
                found[kind] = closed(version["schema"]["openAPIV3Schema"])
                found[kind]["properties"]["metadata"] = {}
    return found


def closed(schema: Any) -> Any:
    """Return the schema with unknown fields refused, as the API server refuses them."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if "properties" in result and not result.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    if result.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    return result
