"""What goes wrong on nodes: each fault fails the node, says why in its log, and leaves no claim."""

import fcntl
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.lifecycle import PackageFloor, SlurmAccount, UnixGroup, UnixUser
from llm_constructs.specs.lifecycle_settings import (
    ExpectedMount,
    LifecycleSettings,
    MountedBy,
    NodeExpectation,
    NodeRole,
)
from tests.lifecycle.fake_node import MOUNT, OBSERVABILITY, FakeNode

pytestmark = pytest.mark.slow

TRN2 = INSTANCE_TYPES["trn2.48xlarge"]
WORKERS = NodeExpectation.of("workers", NodeRole.COMPUTE, TRN2, efa=True, lustre_over_efa=True)
GPUS = NodeExpectation.of(
    "workers", NodeRole.COMPUTE, INSTANCE_TYPES["p5.48xlarge"], efa=False, lustre_over_efa=False
)
PLAIN = NodeExpectation(group="workers", role=NodeRole.CONTROLLER)
BY_SCRIPTS = ExpectedMount(
    dns_name=MOUNT.dns_name, mount_name=MOUNT.mount_name, mounted_by=MountedBy.SCRIPTS
)
ADA = UnixUser(name="ada", uid=2000)
ACCOUNT = SlurmAccount(name="research", description="All of it", organization="research")

INSTALLED_CLIENT = "/opt/llm-platform/efa-lustre-client"


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, what the log must say, and what must not have been called."""

    arrange: Callable[[FakeNode], object]
    message: str
    never: tuple[str, ...] = ()
    script: str = "on_init_complete.sh"
    limits: str = ""


def both(*changes: Callable[[FakeNode], object]) -> Callable[[FakeNode], None]:
    """Make several changes to a node."""

    def arrange(node: FakeNode) -> None:
        for change in changes:
            change(node)

    return arrange


def link(node: FakeNode, absolute: str, target: str) -> None:
    """Put a link where the node has an empty directory or nothing."""
    place = node.path(absolute)
    if place.is_dir():
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def edit_settings(node: FakeNode, old: str, new: str) -> None:
    node.expect(PLAIN)
    file = node.scripts / "settings.json"
    text = file.read_text()
    assert old in text
    file.write_bytes(text.replace(old, new).encode())


def over_tcp(node: FakeNode) -> None:
    node.state("efa", "0\n")
    node.expect(WORKERS, lifecycle=node.lifecycle())


def with_client(node: FakeNode, setup: str, name: str | None = None) -> None:
    node.replace_client(setup, *([name] if name else []))
    over_tcp(node)


def with_users(node: FakeNode, database: str, line: str) -> None:
    node.path(f"/etc/{database}").open("a").write(line)
    groups = (UnixGroup(name="research", gid=3000),)
    lifecycle = node.lifecycle(users=(ADA, UnixUser(name="bob", uid=2005)), unix_groups=groups)
    node.expect(PLAIN, lifecycle=lifecycle)


def with_floor(node: FakeNode, package: str, version: str) -> None:
    floor = PackageFloor(package=package, version=version)
    node.expect(WORKERS, lifecycle=node.lifecycle(minimum_packages=(floor,)))


def on_eks(node: FakeNode) -> None:
    node.expect(WORKERS, mounts=(), container_storage="/opt/sagemaker")


def link_held(node: FakeNode) -> None:
    """Let ``apt-mark hold`` write into nowhere."""
    (node.stub / "held").unlink()
    (node.stub / "held").symlink_to("/dev/null")


NOBODY_ADDED = ("groupadd", "useradd", "usermod", "chown")

FAULTS = {
    "the mount never comes": Fault(
        both(lambda node: node.expect(WORKERS), lambda node: node.state("mounts", "")),
        "FAILED efa-lustre: /fsx was not mounted within 0 seconds. SageMaker mounts it",
        never=("lctl", "useradd"),
    ),
    "another file system is mounted": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: node.state("mounts", f"10.0.0.1@tcp:/zzzzz {node.path('/fsx')}\n"),
        ),
        "FAILED mounts: /fsx has 10.0.0.1@tcp:/zzzzz on it and should have fs-0.fsx",
    ),
    "the mount takes no files": Fault(
        both(lambda node: node.expect(PLAIN), lambda node: link(node, "/fsx", "/proc/self")),
        "FAILED mounts: /fsx is mounted but cannot be written and read:",
    ),
    "the file system refuses the data": Fault(
        lambda node: node.expect(PLAIN),
        "cannot be written and read: [Errno 27] File too large",
        limits="ulimit -f 2048",
    ),
    "others own the probe's directory": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: node.path("/fsx/.lifecycle").symlink_to(node.path("/etc")),
        ),
        "is not a directory of root's",
    ),
    "our own mount is refused": Fault(
        both(
            lambda node: node.expect(PLAIN, mounts=(BY_SCRIPTS,)),
            lambda node: node.state("mounts", ""),
            lambda node: node.fail("mount", "mount.lustre: Connection timed out", 110),
        ),
        "ended with 110: mount.lustre: Connection timed out",
    ),
    "LNet speaks TCP only and nothing can configure it": Fault(
        both(lambda node: node.state("efa", "0\n"), lambda node: node.expect(WORKERS)),
        "FAILED efa-lustre: Lustre must use EFA on this node, LNet has too few",
        never=("umount",),
    ),
    "LNet goes down after the set-up": Fault(
        lambda node: with_client(node, 'printf "156\\nNetwork is down\\n" >"$STUB/fail/lnetctl"'),
        "FAILED efa-lustre: LNet has 0 EFA interfaces that are up and must have 1",
    ),
    "LNet cannot be asked": Fault(
        both(lambda node: node.expect(WORKERS), lambda node: node.forget("lnetctl")),
        "could not be run: this image does not have it",
    ),
    "the package is denied": Fault(
        both(
            over_tcp,
            lambda node: node.fail(
                "aws", "fatal error: An error occurred (403) when calling HeadObject"
            ),
        ),
        "See that the object exists, that the nodes' role may read it",
        never=("umount", "lustre_rmmod", "setup"),
    ),
    "S3 cannot be reached": Fault(
        both(over_tcp, lambda node: node.fail("aws", "Could not connect to the endpoint")),
        "and that the subnet has an S3 endpoint",
        never=("umount",),
    ),
    "the package is another one": Fault(
        both(lambda node: setattr(node, "client_sha256", "0" * 64), over_tcp),
        f"and the settings expect {'0' * 64}. Nothing of it was run.",
        never=("umount", "lustre_rmmod", "setup"),
    ),
    "the package is no archive of ours": Fault(
        lambda node: with_client(node, "true", "other/setup.sh"),
        "it is another archive",
        never=("umount",),
    ),
    "the package's set-up fails": Fault(
        lambda node: with_client(node, "echo no kefalnd >&2; exit 3"),
        "ended with 3: no kefalnd",
        never=("lctl", "useradd"),
    ),
    "the package's set-up brings no EFA": Fault(
        lambda node: with_client(node, "true"),
        "FAILED efa-lustre: LNet has 0 EFA interfaces that are up and must have 1",
    ),
    "the file system is in use": Fault(
        both(over_tcp, lambda node: node.fail("umount", "target is busy", 32)),
        "ended with 32: target is busy",
        never=("lustre_rmmod", "setup"),
    ),
    "data goes over TCP although EFA is up": Fault(
        both(lambda node: node.expect(WORKERS), lambda node: node.state("traffic", "0\n")),
        "FAILED mounts: 16 MiB were written to /fsx and none of it went over EFA",
    ),
    "a Neuron device is missing": Fault(
        both(lambda node: node.expect(WORKERS), lambda node: node.set_neuron_devices(15)),
        "FAILED accelerators: This node has 15 neuron devices and must have 16",
        never=("findmnt",),
    ),
    "the Neuron driver is missing": Fault(
        both(
            lambda node: node.expect(WORKERS),
            lambda node: node.fail("neuron-ls", "failed to discover Neuron devices"),
        ),
        "`neuron-ls --json-output` ended with 1: failed to discover Neuron devices",
    ),
    "neuron-ls speaks otherwise": Fault(
        both(
            lambda node: node.expect(WORKERS),
            lambda node: node.state("neuron.json", "instance-type: x"),
        ),
        "`neuron-ls --json-output` printed no JSON",
    ),
    "an EFA interface is missing": Fault(
        both(lambda node: node.expect(WORKERS), lambda node: node.set_efa_devices(15)),
        "FAILED accelerators: This node has 15 EFA interfaces and must have 16",
    ),
    "the SDK is too old": Fault(
        lambda node: with_floor(node, "aws-neuronx-runtime-lib", "2.29"),
        "aws-neuronx-runtime-lib is 2.28.23.0-1, and the cluster expects 2.29 or newer",
    ),
    "a part of the SDK is missing": Fault(
        lambda node: with_floor(node, "aws-neuronx-collectives", "2.1"),
        "aws-neuronx-collectives is not installed",
    ),
    "a GPU is missing": Fault(
        both(
            lambda node: node.expect(GPUS),
            lambda node: node.state("nvidia.csv", "H100, 580.95\n" * 7),
        ),
        "This node has 7 nvidia devices and must have 8",
    ),
    "the NVIDIA driver is too old": Fault(
        both(
            lambda node: node.expect(GPUS),
            lambda node: node.state("nvidia.csv", "H100, 470.57\n" * 8),
        ),
        "The NVIDIA driver is 470.57 and must be 520 or newer",
    ),
    "the fabric manager does not run": Fault(
        lambda node: node.expect(GPUS),
        "nvidia-fabricmanager does not run",
    ),
    "a user has another number": Fault(
        lambda node: with_users(node, "passwd", "ada:x:1500:1500::/home/ada:/bin/sh\n"),
        "FAILED users: ada is 1500 on this node and 2000 in the registry (passwd)",
        never=NOBODY_ADDED,
    ),
    "a user's number is another's": Fault(
        lambda node: with_users(node, "passwd", "slurm:x:2005:2005::/:/bin/false\n"),
        "FAILED users: 2005 is slurm on this node and bob in the registry (passwd)",
        never=NOBODY_ADDED,
    ),
    "a group's number is another's": Fault(
        lambda node: with_users(node, "group", "docker:x:3000:\n"),
        "FAILED users: 3000 is docker on this node and research in the registry (group)",
        never=NOBODY_ADDED,
    ),
    "the directory of users is broken": Fault(
        both(
            lambda node: with_users(node, "group", ""), lambda node: node.fail("getent", "sssd", 3)
        ),
        "FAILED users: `getent",
        never=NOBODY_ADDED,
    ),
    "a home is a file": Fault(
        both(
            lambda node: with_users(node, "group", ""), lambda node: node.write("/fsx/home/ada", "")
        ),
        "cannot be made: [Errno 17] File exists",
    ),
    "Slurm's database is down": Fault(
        both(
            lambda node: node.expect(PLAIN, lifecycle=node.lifecycle(accounts=(ACCOUNT,))),
            lambda node: node.fail("sacctmgr", "Unable to contact slurm persistent connection"),
        ),
        "FAILED accounts: Slurm's database does not answer:",
        never=("sacctmgr --immediate",),
    ),
    "the CloudWatch agent is missing": Fault(
        both(
            lambda node: node.expect(PLAIN, observability=OBSERVABILITY),
            lambda node: node.forget("amazon-cloudwatch-agent-ctl"),
        ),
        "FAILED observability: `amazon-cloudwatch-agent-ctl",
    ),
    "the kernel cannot be held": Fault(
        both(lambda node: node.expect(PLAIN), link_held),
        "FAILED kernel: apt-mark does not hold linux-image-6.8.0-1021-aws",
    ),
    "dnf excludes something else": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: node.write("/etc/os-release", "ID=amzn\n"),
            lambda node: node.write("/etc/dnf/dnf.conf", "[main]\nexclude=foo\n"),
        ),
        "/etc/dnf/dnf.conf has exclude=foo, so that the kernel cannot be excluded",
    ),
    "the image is an unknown one": Fault(
        both(
            lambda node: node.expect(PLAIN), lambda node: node.write("/etc/os-release", "ID=rhel\n")
        ),
        "HyperPod's images are Ubuntu or Amazon Linux",
    ),
    "tuning is refused": Fault(
        both(
            lambda node: node.expect(PLAIN), lambda node: node.fail("lctl", "no such parameter", 2)
        ),
        "FAILED tuning: `lctl set_param ldlm.namespaces.*.lru_max_age=600000` ended with 2",
    ),
    "nothing can be recorded": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: node.path("/var/lib/llm-platform/accelerator.json").mkdir(parents=True),
        ),
        "FAILED accelerators: /var/lib/llm-platform/accelerator.json cannot be written",
    ),
    "the boot service cannot be enabled": Fault(
        both(
            lambda node: node.expect(PLAIN), lambda node: node.fail("systemctl", "access denied", 4)
        ),
        "FAILED boot-service: `systemctl daemon-reload` ended with 4: access denied",
    ),
    "settings have CRLF line ends": Fault(
        lambda node: edit_settings(node, ", ", ",\r\n"),
        "FAILED settings: settings.json has CRLF line ends",
        never=("ip",),
    ),
    "settings are cut off": Fault(
        lambda node: edit_settings(node, "}", ""),
        "FAILED settings: settings.json is no JSON",
    ),
    "settings have a key too many": Fault(
        lambda node: edit_settings(node, '"version"', '"gpu_count": 1, "version"'),
        "FAILED settings: settings.json has gpu_count, which these scripts do not know",
    ),
    "settings have a key too few": Fault(
        lambda node: edit_settings(node, '"hold_kernel": true,', ""),
        "FAILED settings: settings.json has no hold_kernel",
    ),
    "settings have a value of another type": Fault(
        lambda node: edit_settings(node, '"hold_kernel": true', '"hold_kernel": "yes"'),
        "FAILED settings: settings.json: hold_kernel is a string and not true or false",
    ),
    "settings are newer than the scripts": Fault(
        lambda node: edit_settings(node, '"version": 1', '"version": 2'),
        "FAILED settings: settings.json has version 2, and these scripts read 1",
    ),
    "settings are missing": Fault(
        lambda _: None,
        "FAILED settings: settings.json cannot be read beside the scripts",
    ),
    "nobody knows the node": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: node.join("workers", CustomerIpAddress="10.9.9.9"),
            lambda node: node.environment.update(
                AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9"
            ),
        ),
        "FAILED identity: No address of this machine is in /opt/ml/config/resource_config.json",
    ),
    "the list of nodes has another group": Fault(
        both(lambda node: node.expect(PLAIN), lambda node: node.join("gpus")),
        "FAILED identity: settings.json has no instance group gpus, only workers",
    ),
    "the list of nodes is missing": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: node.path("/opt/ml/config/resource_config.json").unlink(),
        ),
        "FAILED identity: /opt/ml/config/resource_config.json cannot be read",
    ),
    "the list of nodes is another document": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: node.write("/opt/ml/config/resource_config.json", '{"Groups": []}'),
        ),
        "does not look like SageMaker's list of nodes",
    ),
    "Python is missing": Fault(
        both(lambda node: node.expect(PLAIN), lambda node: node.forget("python3")),
        "FAILED slurm: The node is not what settings.json says",
    ),
    "legacy parameters are missing": Fault(
        lambda node: node.expect(PLAIN),
        "FAILED legacy-role: provisioning_parameters.json beside the scripts cannot be used",
        script="on_create.sh",
    ),
    "legacy parameters disagree": Fault(
        both(
            lambda node: node.expect(PLAIN),
            lambda node: (node.scripts / "provisioning_parameters.json").write_text(
                json.dumps(
                    {
                        "controller_group": "head",
                        "worker_groups": [{"instance_group_name": "workers"}],
                    }
                )
            ),
        ),
        "makes group workers compute, and settings.json controller",
        script="on_create.sh",
    ),
    "the volume of containers never comes": Fault(
        on_eks,
        "FAILED container-storage: /opt/sagemaker was not mounted within 0 seconds",
        never=("systemctl stop", "systemctl enable"),
        script="eks_on_create.sh",
    ),
    "NVIDIA's runtime is the default on Trainium": Fault(
        both(
            on_eks,
            lambda node: node.write(
                "/etc/containerd/config.toml", '  default_runtime_name = "nvidia"\n'
            ),
        ),
        "makes nvidia the default runtime, and this node has neuron accelerators",
        script="eks_on_create.sh",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_fails_the_node_loudly(node: FakeNode, fault: Fault) -> None:
    fault.arrange(node)
    marker = "/var/lib/llm-platform/lifecycle-complete.json"
    if not node.path("/var/lib/llm-platform").exists():
        node.write(marker, "{}")
    result = node.run(fault.script, fault.limits)
    assert result.returncode == 1
    assert fault.message in node.log
    assert "Traceback" not in node.log
    assert "FAILED" in result.stderr
    assert "sleep 10" in node.calls, "the log must have time to be shipped"
    # A node without Python could not take the claim of an earlier run back; it has none.
    assert not node.is_complete or not (node.commands / "python3").exists()
    assert [call for call in node.calls if call.startswith(fault.never)] == []
    assert list(node.path("/fsx").glob(".lifecycle/workers-1")) == []


def test_a_second_run_at_the_same_time_is_refused(node: FakeNode) -> None:
    node.expect(PLAIN)
    lock = node.path("/run/llm-lifecycle.lock")
    lock.parent.mkdir()
    with lock.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        result = node.run("on_init_complete.sh")
    assert result.returncode == 1
    assert "Another run holds" in node.log
    assert not node.is_complete
    assert node.called("ip") == []
    assert node.run("on_init_complete.sh").returncode == 0


def test_a_full_disk_is_told_on_standard_error(node: FakeNode) -> None:
    node.expect(PLAIN)
    link(node, "/var/log/provision/provisioning.log", "/dev/full")
    result = node.run("on_init_complete.sh")
    assert result.returncode == 1
    assert "provisioning.log cannot be written: the disk is full or read-only" in result.stderr
    assert not node.is_complete
    assert node.called("ip") == []


@pytest.mark.parametrize(
    ("command", "arguments"), [("lctl", "set_param"), ("mount", "-t lustre"), ("bash", "setup.sh")]
)
def test_a_node_recovers_once_the_fault_is_gone(
    node: FakeNode, command: str, arguments: str
) -> None:
    if command == "bash":
        with_client(node, "[ -f $STUB/healed ] || exit 5\necho 16 >$STUB/efa")
    else:
        over_tcp(node)
        node.fail(command, "not now")
    assert node.run("on_init_complete.sh").returncode == 1
    assert arguments in node.log
    if command == "mount":
        # Only SageMaker mounts for the first time, and it does so at a start.
        node.state("mounts", f"10.0.0.7@tcp:/{MOUNT.mount_name} {node.path('/fsx')}\n")
    node.state("healed", "")
    (node.stub / "fail" / command).unlink(missing_ok=True)
    assert node.run("on_init_complete.sh").returncode == 0
    assert node.is_complete
    installed = node.path(INSTALLED_CLIENT)
    assert [entry.name for entry in installed.iterdir()] == [node.client_sha256[:16]]


def test_a_node_whose_lnet_is_down_is_brought_to_efa(node: FakeNode) -> None:
    node.fail("lnetctl", "show: - net: errno: -100: Network is down", 156)
    with_client(node, 'rm "$STUB/fail/lnetctl"; echo 16 >"$STUB/efa"')
    result = node.run("on_init_complete.sh")
    assert result.returncode == 0, result.stdout
    assert "LNet is not up" in node.log


def test_what_systemd_mounts_on_demand_is_not_mounted_twice(node: FakeNode) -> None:
    line = f"{MOUNT.dns_name}@tcp:/{MOUNT.mount_name} {node.path('/fsx')}"
    with_client(node, f'echo 16 >"$STUB/efa"; echo "{line}" >>"$STUB/mounts"')
    assert node.run("on_init_complete.sh").returncode == 0
    assert node.called("umount") == [f"umount {node.path('/fsx')}"]
    assert node.called("mount ") == []


def test_a_package_that_was_refused_leaves_nothing_behind(node: FakeNode) -> None:
    pinned = node.client_sha256
    node.client_sha256 = "0" * 64
    over_tcp(node)
    assert node.run("on_init_complete.sh").returncode == 1
    assert list(node.path(INSTALLED_CLIENT).iterdir()) == []
    node.client_sha256 = pinned
    over_tcp(node)
    assert node.run("on_init_complete.sh").returncode == 0


def test_a_start_that_finds_no_file_system_fails_its_service(node: FakeNode) -> None:
    node.expect(WORKERS)
    node.state("mounts", "")
    node.fail("mount", "No such device", 19)
    result = node.step("boot")
    assert result.returncode == 1
    assert "FAILED restore-mounts" in result.stdout
    assert node.called("lctl") == []


def test_every_setting_that_can_be_rendered_is_read(node: FakeNode) -> None:
    """The two sides of settings.json agree, with everything in it that there is."""
    lifecycle = node.lifecycle(
        users=(ADA,),
        unix_groups=(UnixGroup(name="research", gid=3000),),
        accounts=(ACCOUNT,),
        minimum_packages=(PackageFloor(package="aws-neuronx-dkms", version="2"),),
    )
    settings = LifecycleSettings(
        cluster="training",
        groups=(WORKERS, NodeExpectation(group="head", role=NodeRole.CONTROLLER)),
        mounts=(MOUNT,),
        container_storage="/opt/sagemaker",
        observability=OBSERVABILITY,
        lifecycle=lifecycle,
    )
    Path(node.scripts / "settings.json").write_text(settings.to_json())
    assert node.step("kernel").returncode == 0
