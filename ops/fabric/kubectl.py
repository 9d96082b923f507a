"""kubectl, as the person who calls it has set it up."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.fabric.whole_node import KubernetesObject


class ClusterError(Exception):
    """The cluster, or the way to it, refused; the message is a sentence."""


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """Calls of kubectl in one namespace, with the kubeconfig and ``context`` of the caller.

    Every call ends within ``timeout_seconds``, and a refusal raises :class:`ClusterError`.
    """

    namespace: str
    context: str | None = None
    timeout_seconds: int = 60

    def create(self, objects: Iterable[KubernetesObject]) -> None:
        """Create ``objects``; it fails where one of them is there already."""
        self._run("create", "--filename", "-", content=_documents(objects))

    def delete(self, objects: Iterable[KubernetesObject]) -> None:
        """Delete ``objects``, and do not mind those that are gone; pods end in the background."""
        self._run(
            *("delete", "--ignore-not-found", "--wait=false", "--filename", "-"),
            content=_documents(objects),
        )

    def job(self, name: str) -> Mapping[str, Any]:
        """Return a Job as it is now."""
        return self._get("job", name)

    def pods(self, selector: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """Return the pods that have all labels of ``selector``."""
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        pods: Sequence[Mapping[str, Any]] = self._get("pods", "--selector", labels)["items"]
        return pods

    def logs(self, pod: str) -> str:
        """Return all that a pod has written."""
        return self._run("logs", pod)

    def _get(self, *arguments: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = json.loads(self._run("get", *arguments, "--output", "json"))
        return answer

    def _run(self, *arguments: str, content: str | None = None) -> str:
        program = shutil.which("kubectl")
        if program is None:
            raise ClusterError(
                "kubectl is not on the PATH. Install the version of the cluster: "
                "https://kubernetes.io/docs/tasks/tools/"
            )
        context = [f"--context={self.context}"] if self.context else []
        try:
            result = subprocess.run(
                [program, *context, f"--namespace={self.namespace}", *arguments],
                input=content,
                capture_output=True,
                text=True,
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(
                f"The cluster did not answer kubectl {arguments[0]} within "
                f"{self.timeout_seconds} s. Its endpoint may be private: call from inside the VPC, "
                "or through a VPN."
            ) from None
        if result.returncode:
            message = result.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise ClusterError(f"kubectl {arguments[0]} failed: {message[0]}")
        return result.stdout


def _documents(objects: Iterable[KubernetesObject]) -> str:
    # One after the other: the fields of a List's items are not checked by the API server.
    return "\n".join(map(json.dumps, objects))
