"""The proof of the fabric, with the real kubectl against a Kubernetes API on loopback."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_constructs.kubectl_package import unpacked_layer
from ops.fabric.evidence import NodeReport
from tests.ops.fabric.kubernetes_on_loopback import Cluster, PodScript, served
from tests.ops.fabric.node_logs import report_line, report_of

# kubectl is unpacked, and started for each step.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
NODES = 2
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "message": "0/3 nodes are available: insufficient vpc.amazonaws.com/efa",
        }
    ],
}
WITHOUT_IMAGE = {
    "phase": "Pending",
    "containerStatuses": [
        {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}}
    ],
}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with kubectl, as the layer of the cluster's version has it."""
    folder = tmp_path_factory.mktemp("tools")
    with zipfile.ZipFile(unpacked_layer("1.36")) as layer:
        (folder / "kubectl").write_bytes(layer.read("kubectl/kubectl"))
    (folder / "kubectl").chmod(0o755)
    return folder


@dataclass(frozen=True)
class Shell:
    """Runs the command in a home of its own, whose kubeconfig names the API on loopback."""

    home: Path
    tools: Path

    def fabric(self, *arguments: str, url: str) -> subprocess.CompletedProcess[str]:
        kubeconfig = self.home / "config"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "fake", "cluster": {"server": url}}],
                    "users": [{"name": "fake", "user": {"token": "none"}}],
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
                    "current-context": "fake",
                }
            )
        )
        return subprocess.run(
            [
                *(sys.executable, "-m", "ops", "fabric", "--env", "prod"),
                *("--on", "training-p5en", *arguments),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": str(self.tools),
                "HOME": str(self.home),
                "KUBECONFIG": str(kubeconfig),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


@pytest.fixture
def shell(tmp_path: Path, tools: Path) -> Shell:
    return Shell(tmp_path, tools)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(pods=[PodScript(log=report_line(report_of(node))) for node in range(NODES)])


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with served(cluster) as address:
        yield address


def test_bytes_on_efa_are_a_proof_and_nothing_stays_behind(
    shell: Shell, cluster: Cluster, url: str
) -> None:
    result = shell.fabric("--json", url=url)

    assert result.returncode == 0, result.stderr
    verdict = json.loads(result.stdout)
    assert verdict["proved"] is True
    assert verdict["bus_bandwidth"] == pytest.approx(375.0)
    assert [made["kind"] for made in cluster.created] == ["ConfigMap", "Service", "Job"]
    assert cluster.objects == {}
    assert len(cluster.deleted) == len(cluster.created)


def test_a_fall_back_to_tcp_fails(shell: Shell, cluster: Cluster, url: str) -> None:
    socket = "host:1:2 [0] NCCL INFO Channel 00/0 : 0[0] -> 8[0] [send] via NET/Socket/0\n"
    slow = NodeReport(**{**vars(report_of(1)), "efa_bytes": 0, "tcp_bytes": 40_000_000_000})
    cluster.pods[1] = PodScript(log=socket + report_line(slow))

    result = shell.fabric(url=url)

    assert result.returncode == 1
    assert "Node 1 used Socket instead of EFA" in result.stderr
    assert "Node 1 (node-1) sent nothing over EFA." in result.stderr
    assert "Traceback" not in result.stderr
    assert cluster.objects == {}


def test_pods_without_nodes_are_explained(shell: Shell, cluster: Cluster, url: str) -> None:
    cluster.pods = [PodScript(status=UNSCHEDULABLE)] * NODES
    cluster.conditions = [{"type": "Failed", "status": "True"}]

    result = shell.fabric(url=url)

    assert result.returncode == 1
    assert "insufficient vpc.amazonaws.com/efa" in result.stderr
    assert "Node 0, 1 did not report" in result.stderr
    assert cluster.objects == {}


def test_an_image_that_is_not_there_ends_the_wait(shell: Shell, cluster: Cluster, url: str) -> None:
    cluster.pods = [PodScript(status=WITHOUT_IMAGE)] * NODES
    cluster.conditions = []

    result = shell.fabric(url=url)

    assert result.returncode == 1
    assert "cannot be had (ImagePullBackOff): no such tag" in result.stderr
    assert cluster.objects == {}


def test_what_was_made_before_a_refusal_is_deleted(
    shell: Shell, cluster: Cluster, url: str
) -> None:
    cluster.refuse_creation_of = "jobs"

    result = shell.fabric(url=url)

    assert result.returncode == 1
    assert "kubectl create failed" in result.stderr
    assert "jobs is forbidden" in result.stderr
    assert "Traceback" not in result.stderr
    assert cluster.objects == {}


def test_a_log_that_cannot_be_read_is_said(shell: Shell, cluster: Cluster, url: str) -> None:
    cluster.pods[1] = PodScript(log=None)

    result = shell.fabric(url=url)

    assert result.returncode == 1
    assert "The log of node 1 cannot be read" in result.stderr
    assert "Node 1 did not report" in result.stderr


def test_without_kubectl_it_says_where_to_get_it(shell: Shell, url: str) -> None:
    result = Shell(shell.home, shell.home / "nothing").fabric(url=url)

    assert result.returncode == 1
    assert "kubectl is not on the PATH" in result.stderr
    assert "Traceback" not in result.stderr
