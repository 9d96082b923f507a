"""Every sequence, run twice by the real bash and Python on a node below a directory."""

import json

import pytest

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.lifecycle import PackageFloor, SlurmAccount, UnixGroup, UnixUser
from llm_constructs.specs.lifecycle_settings import (
    ExpectedMount,
    MountedBy,
    NodeExpectation,
    NodeRole,
)
from tests.lifecycle.fake_node import MOUNT, OBSERVABILITY, FakeNode
from tests.loopback_server import LoopbackHandler, LoopbackServer

WORKERS = NodeExpectation.of(
    "workers",
    NodeRole.COMPUTE,
    INSTANCE_TYPES["trn2.48xlarge"],
    efa=True,
    lustre_over_efa=True,
)
GPUS = NodeExpectation.of(
    "gpus", NodeRole.COMPUTE, INSTANCE_TYPES["p5.48xlarge"], efa=True, lustre_over_efa=True
)
CONTROLLER = NodeExpectation(group="head", role=NodeRole.CONTROLLER)
NEURON_FLOOR = PackageFloor(
    package="aws-neuronx-runtime-lib", version="2.28", accelerator=DeviceKind.NEURON
)
ADA = UnixUser(name="ada", uid=2000, groups=("research",))
GRACE = UnixUser(name="grace", uid=2001)
RESEARCH = UnixGroup(name="research", gid=3000)
pytestmark = pytest.mark.slow

CHANGES = (
    *("aws", "umount", "mount ", "lustre_rmmod", "setup", "groupadd", "useradd", "usermod"),
    *("sacctmgr --immediate", "apt-mark hold", "systemctl daemon-reload", "systemctl stop", "cp"),
    "amazon-cloudwatch-agent-ctl -a append-config",
)
"""Calls that change a node, and must not come twice."""


def succeed_twice(node: FakeNode, script: str) -> None:
    """Run an entry point twice; the second run must change nothing."""
    first = node.run(script)
    assert first.returncode == 0, first.stdout + first.stderr
    assert node.is_complete
    files = node.files()
    before = len(node.calls)
    second = node.run(script)
    assert second.returncode == 0, second.stdout + second.stderr
    assert node.is_complete
    assert node.files() == files
    assert [call for call in node.calls[before:] if call.startswith(CHANGES)] == []


def test_a_compute_node_of_slurm_is_provisioned_and_again(node: FakeNode) -> None:
    node.expect(
        WORKERS,
        CONTROLLER,
        observability=OBSERVABILITY,
        lifecycle=node.lifecycle(
            users=(ADA, GRACE), unix_groups=(RESEARCH,), minimum_packages=(NEURON_FLOOR,)
        ),
    )
    # LNet speaks TCP only, and the mount comes late: the node has to be brought to EFA.
    node.state("efa", "0\n")
    node.state("late", "1\n")
    succeed_twice(node, "on_init_complete.sh")

    order = [call.split()[0] for call in node.calls if call.startswith(CHANGES)]
    wanted = ["aws", "umount", "lustre_rmmod", "setup", "mount"]
    assert [name for name in order if name in wanted] == wanted
    assert "mount -t lustre -o flock,noatime,_netdev" in "\n".join(node.calls)
    record = json.loads(node.path("/var/lib/llm-platform/accelerator.json").read_text())
    assert record == {
        "devices": 16,
        "driver": "2.24.7.0",
        "efa_interfaces": 16,
        "packages": {
            "aws-neuronx-dkms": "2.24.7.0",
            "aws-neuronx-runtime-lib": "2.28.23.0-1",
        },
    }
    assert "ada:x:2000:2000::/fsx/home/ada:/bin/bash" in node.path("/etc/passwd").read_text()
    assert "research:x:3000:ada" in node.path("/etc/group").read_text()
    assert node.path("/fsx/home/grace").stat().st_mode & 0o777 == 0o700
    assert f"chown --no-dereference 2000:2000 {node.path('/fsx/home/ada')}" in node.calls
    assert node.called("lctl set_param ldlm.namespaces.*.lru_size=19200")
    assert node.called("lctl set_param mdc.*.max_mod_rpcs_in_flight=50")
    assert node.called("apt-mark hold") == [
        "apt-mark hold linux-image-6.8.0-1021-aws lustre-client-modules-aws"
    ]
    assert node.called("sacctmgr") == []
    assert list(node.path("/fsx/.lifecycle").iterdir()) == []
    assert "workers-1 of group workers, a compute node, known by its address" in node.log

    unit = node.path("/etc/systemd/system/llm-lifecycle-boot.service").read_text()
    assert "After=network-online.target remote-fs.target configure-efa-fsx-lustre" in unit
    assert "Before=slurmd.service" in unit
    assert "RequiredBy=slurmd.service" in unit
    kept = node.path("/opt/llm-platform/lifecycle")
    assert (kept / "settings.json").read_bytes() == (node.scripts / "settings.json").read_bytes()

    agent = node.path("/opt/aws/amazon-cloudwatch-agent/etc/llm-lifecycle.json").read_text()
    files = json.loads(agent)["logs"]["logs_collected"]["files"]["collect_list"]
    assert {
        "file_path": "/var/log/provision/*.log",
        "log_group_name": "/hyperpod/nodes",
        "log_stream_name": "workers/workers-1/provision",
    } in files
    assert json.loads(agent)["metrics"]["namespace"] == "/aws/sagemaker/Clusters"


def test_a_controller_makes_accounts_with_parents_first(node: FakeNode) -> None:
    node.join("head")
    node.state("associations", "root|||1\nroot|root||1\n")
    accounts = (
        SlurmAccount(
            name="pretraining",
            description="Base models",
            organization="research",
            parent="research",
            users=("ada",),
        ),
        SlurmAccount(
            name="research", description="All of it", organization="research", fairshare=5
        ),
    )
    lifecycle = node.lifecycle(users=(ADA,), unix_groups=(RESEARCH,), accounts=accounts)
    node.expect(WORKERS, CONTROLLER, lifecycle=lifecycle)
    succeed_twice(node, "on_init_complete.sh")
    made = [call.removeprefix("sacctmgr --immediate add ") for call in node.called("sacctmgr --i")]
    of_research = "description={} organization=research"
    assert made == [
        f"account name=research parent=root fairshare=5 {of_research.format('All of it')}",
        f"account name=pretraining parent=research fairshare=1 {of_research.format('Base models')}",
        "user name=ada account=pretraining",
    ]
    # A controller without EFA reaches the same file system over TCP, by design.
    assert "Lustre may use TCP on this node" in node.log

    changed = SlurmAccount(
        name="research", description="All of it", organization="research", fairshare=9
    )
    node.expect(CONTROLLER, lifecycle=node.lifecycle(accounts=(changed,)))
    assert node.step("accounts").returncode == 0
    assert "research||root|9" in (node.stub / "associations").read_text().splitlines()


def test_a_gpu_node_on_amazon_linux_is_provisioned_and_again(node: FakeNode) -> None:
    node.join("gpus")
    node.set_efa_devices(32)
    node.write("/etc/os-release", 'ID="amzn"\nVERSION_ID="2023"\n')
    node.write("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n")
    node.state("active", "nvidia-fabricmanager\n")
    node.expect(GPUS)
    succeed_twice(node, "on_init_complete.sh")
    assert "excludepkgs=kernel*," in node.path("/etc/dnf/dnf.conf").read_text()
    record = json.loads(node.path("/var/lib/llm-platform/accelerator.json").read_text())
    assert record["driver"] == "580.95.05"
    assert record["names"] == ["NVIDIA H100 80GB HBM3"]


def test_a_legacy_cluster_mounts_by_itself_and_tunes_tcp(node: FakeNode) -> None:
    over_tcp = NodeExpectation.of(
        "workers",
        NodeRole.COMPUTE,
        INSTANCE_TYPES["trn2.48xlarge"],
        efa=True,
        lustre_over_efa=False,
    )
    parameters = {
        "version": "1.0.0",
        "workload_manager": "slurm",
        "controller_group": "head",
        "worker_groups": [{"instance_group_name": "workers", "partition_name": "all"}],
    }
    (node.scripts / "provisioning_parameters.json").write_text(json.dumps(parameters))
    node.state("mounts", "")
    node.state("efa", "0\n")
    mount = ExpectedMount(
        dns_name=MOUNT.dns_name, mount_name=MOUNT.mount_name, mounted_by=MountedBy.SCRIPTS
    )
    node.expect(over_tcp, mounts=(mount,))
    succeed_twice(node, "on_create.sh")
    assert len(node.called("mount ")) == 1
    options = node.path("/etc/modprobe.d/llm-lustre.conf").read_text()
    assert "ptlrpcd_per_cpt_max=32" in options
    assert node.called("lnetctl") == []


def test_a_node_of_eks_gets_its_storage_moved_once(node: FakeNode) -> None:
    node.write("/var/lib/containerd/io.containerd/.meta", "layers")
    node.write("/var/lib/kubelet/config.json", "{}")
    node.write("/etc/containerd/config.toml", 'default_runtime_name = "runc"\n')
    node.path("/opt/sagemaker").mkdir(parents=True)
    node.state("mountpoints", f"{node.path('/opt/sagemaker')}\n")
    node.state("active", "containerd\nkubelet\nsshd\n")
    node.expect(WORKERS, mounts=(), container_storage="/opt/sagemaker")
    succeed_twice(node, "eks_on_create.sh")
    moved = node.path("/opt/sagemaker/containerd/io.containerd/.meta")
    assert moved.read_text() == "layers"
    assert (node.stub / "active").read_text().split() == ["sshd", "containerd", "kubelet"]
    stops = [call for call in node.calls if call.split()[1:2] in (["stop"], ["start"])]
    assert stops == [
        "systemctl stop kubelet",
        "systemctl stop containerd",
        "systemctl start containerd",
        "systemctl start kubelet",
    ]
    unit = node.path("/etc/systemd/system/var-lib-containerd.mount").read_text()
    assert "What=/opt/sagemaker/containerd\nWhere=/var/lib/containerd" in unit
    assert node.path("/etc/containerd/config.toml").read_text() == 'default_runtime_name = "runc"\n'
    assert node.called("findmnt") == []


def test_a_start_mounts_and_tunes_again_before_slurm(node: FakeNode) -> None:
    node.expect(WORKERS)
    node.state("mounts", "")
    for _ in range(2):
        assert node.step("boot").returncode == 0
    assert len(node.called("mount ")) == 1
    assert len(node.called("lctl set_param osc.*OST*.max_rpcs_in_flight=32")) == 2
    assert not node.is_complete


class Metadata(LoopbackHandler):
    """Version 2 of the instance metadata service."""

    def answer(self) -> None:
        text = {"PUT": self._token, "GET": self._instance_id}[self.command]()
        self.send(200 if text else 401, text.encode())

    def _token(self) -> str:
        return "token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else ""

    def _instance_id(self) -> str:
        allowed = self.headers["X-aws-ec2-metadata-token"] == "token"
        return "i-0123456789abcdef0" if allowed else ""


def test_a_node_with_an_unlisted_address_is_known_by_its_instance_id(node: FakeNode) -> None:
    node.expect(WORKERS, mounts=())
    node.join("workers", CustomerIpAddress="10.9.9.9")
    with LoopbackServer(Metadata) as server:
        node.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{server.url}/"
        result = node.step("kernel")
    assert result.returncode == 0, result.stdout
    assert "known by its instance id" in result.stdout


@pytest.mark.parametrize("argument", ["", "everything"])
def test_an_unknown_sequence_is_told_what_there_is(node: FakeNode, argument: str) -> None:
    result = node.step(argument)
    assert result.returncode == 2
    assert "name one of slurm, legacy-slurm, eks, boot" in result.stdout
