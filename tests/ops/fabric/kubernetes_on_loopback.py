"""A small Kubernetes API on loopback: enough of the protocol for the real kubectl to work with.

It keeps what is created, checks it against Kubernetes' own schemas, and answers for the pods of a
Job what a test has laid down.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate

from tests.loopback_server import LoopbackHandler, LoopbackServer

KUBERNETES = "1.36"

CORE = ("configmaps", "ConfigMap"), ("services", "Service"), ("pods", "Pod")
BATCH = (("jobs", "Job"),)
VERBS = ["create", "delete", "get", "list"]

_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1)/namespaces/(?P<namespace>[^/]+)/(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)


@dataclass(frozen=True, kw_only=True)
class PodScript:
    """How one pod of the Job is found: its status, and what it has written, if anything."""

    status: Mapping[str, Any] = field(default_factory=lambda: {"phase": "Succeeded"})
    log: str | None = None


@dataclass(kw_only=True)
class Cluster:
    """The state of the fake: what was created, what was deleted, and what is to be found."""

    pods: list[PodScript] = field(default_factory=list)
    conditions: list[dict[str, str]] = field(
        default_factory=lambda: [{"type": "Complete", "status": "True"}]
    )
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    refuse_creation_of: str | None = None

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Return status and content for a request; text is sent as it is."""
        found = _PATH.fullmatch(path)
        if found is None:
            return _discovery(path)
        resource, name = found["resource"], found["name"]
        if found["log"]:
            return self._log(name)
        if method == "POST":
            return self._create(resource, body)
        if method == "DELETE":
            return self._delete(resource, name)
        return self._list() if name is None else self._get(resource, name)

    def _create(self, resource: str, body: dict[str, Any]) -> tuple[int, Any]:
        if resource == self.refuse_creation_of:
            return 403, _status(403, "Forbidden", f"{resource} is forbidden: no permission")
        kubernetes_validate.validate(body, KUBERNETES, strict=True)
        self.objects[resource, body["metadata"]["name"]] = body
        self.created.append(body)
        return 201, body

    def _delete(self, resource: str, name: str) -> tuple[int, Any]:
        if self.objects.pop((resource, name), None) is None:
            return 404, _status(404, "NotFound", f"{resource} {name!r} not found")
        self.deleted.append((resource, name))
        return 200, _status(200, "Success", "deleted")

    def _get(self, resource: str, name: str) -> tuple[int, Any]:
        if resource == "pods":
            return 200, self._pod(int(name.removeprefix("pod-")))
        made = self.objects.get((resource, name))
        if made is None:
            return 404, _status(404, "NotFound", f"{resource} {name!r} not found")
        if resource == "jobs":
            return 200, {**made, "status": {"conditions": self.conditions}}
        return 200, made

    def _pod(self, index: int) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"pod-{index}",
                "namespace": self.created[0]["metadata"]["namespace"],
                "labels": {"batch.kubernetes.io/job-completion-index": str(index)},
            },
            "spec": {"containers": [{"name": "all-reduce"}]},
            "status": dict(self.pods[index].status),
        }

    def _list(self) -> tuple[int, Any]:
        items = [self._pod(index) for index in range(len(self.pods))]
        return 200, {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items}

    def _log(self, name: str) -> tuple[int, Any]:
        log = self.pods[int(name.removeprefix("pod-"))].log
        if log is None:
            return 400, _status(400, "BadRequest", f"container in pod {name} is waiting to start")
        return 200, log


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    status = "Success" if code < 400 else "Failure"
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": status,
        "code": code,
        "reason": reason,
        "message": message,
    }


def _discovery(path: str) -> tuple[int, Any]:
    answers: Mapping[str, Any] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": "batch",
                    "versions": [{"groupVersion": "batch/v1", "version": "v1"}],
                    "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"},
                }
            ],
        },
        "/api/v1": _resources("v1", CORE),
        "/apis/batch/v1": _resources("batch/v1", BATCH),
        "/openapi/v3": {"paths": _documents()},
        "/openapi/v3/api/v1": _document("", "v1", CORE),
        "/openapi/v3/apis/batch/v1": _document("batch", "v1", BATCH),
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
    }
    if path in answers:
        return 200, answers[path]
    return 404, _status(404, "NotFound", f"no path {path}")


def _resources(version: str, kinds: Any) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {"name": name, "kind": kind, "namespaced": True, "verbs": VERBS, "singularName": ""}
            for name, kind in kinds
        ],
    }


def _documents() -> dict[str, Any]:
    return {
        "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"},
        "apis/batch/v1": {"serverRelativeURL": "/openapi/v3/apis/batch/v1"},
    }


def _document(group: str, version: str, kinds: Any) -> dict[str, Any]:
    """Say of each kind that the server checks fields itself, which is what kubectl looks for."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.3"},
        "paths": {
            f"{root}/namespaces/{{namespace}}/{name}/{{name}}": {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query"}],
                    "x-kubernetes-action": "patch",
                    "x-kubernetes-group-version-kind": {
                        "group": group,
                        "kind": kind,
                        "version": version,
                    },
                }
            }
            for name, kind in kinds
        },
    }


@contextmanager
def served(cluster: Cluster) -> Iterator[str]:
    """Serve ``cluster`` on a free port of loopback, and give its URL."""

    class Handler(LoopbackHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            body = json.loads(raw) if raw and self.command == "POST" else None
            status, content = cluster.answer(self.command, urlsplit(self.path).path, body)
            is_text = isinstance(content, str)
            data = content.encode() if is_text else json.dumps(content).encode()
            kind = "text/plain" if is_text else "application/json"
            self.send(status, data, {"Content-Type": kind})

    with LoopbackServer(Handler) as server:
        yield server.url
