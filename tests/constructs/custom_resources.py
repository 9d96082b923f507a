"""Schemas of custom resources, as the API server applies them."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ops.kubernetes.object_schemas import schemas_of

CRDS = os.environ.get("KUBERNETES_CRDS")
"""A folder with CustomResourceDefinitions: of Karpenter as its chart karpenter-crd has them, and of
KEDA and LeaderWorkerSet as theirs do."""


@cache
def schemas() -> dict[str, Any]:
    """Return the schema of each kind, at its storage version, with unknown fields refused."""
    found = {}
    for file in Path(CRDS or "").glob("*.yaml"):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        stored = {each["name"] for each in definition["spec"]["versions"] if each["storage"]}
        for (_, kind, version), schema in schemas_of(definition):
            if version in stored:
                found[kind] = schema
    return found
