"""A node below a directory: its files, its commands as stubs, and the real scripts on it."""

import compileall
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from llm_constructs.specs.lifecycle import EfaLustreClient, Lifecycle
from llm_constructs.specs.lifecycle_settings import (
    ExpectedMount,
    LifecycleSettings,
    NodeExpectation,
    NodeObservability,
)

LIFECYCLE = Path(__file__).parents[2] / "constructs" / "llm_constructs" / "lifecycle"
STUB = Path(__file__).parent / "stub.sh"

STUBBED = (
    *("amazon-cloudwatch-agent-ctl", "apt-mark", "aws", "chown", "dpkg-query", "findmnt"),
    *("getent", "groupadd", "ip", "lctl", "lnetctl", "lustre_rmmod", "modprobe", "mount"),
    *("mountpoint", "neuron-ls", "nproc", "nvidia-smi", "rpm", "sacctmgr", "sleep", "sync"),
    *("systemctl", "umount", "useradd", "usermod"),
)
REAL = (
    *("bash", "cat", "cp", "cut", "date", "dirname", "flock", "grep", "mkdir", "mv", "rm", "sed"),
    *("sh", "tee"),
)
"""Only these and the stubs are on the search path, so that no test can touch this machine."""

NODE_PYTHON = os.environ.get("NODE_PYTHON", sys.executable)
"""The Python of nodes; set it to a 3.9 or 3.10 to run the scripts with that of an image."""

SETUP = "configure-efa-fsx-lustre-client/setup.sh"
CLIENT_SOURCE = "s3://artifacts/efa.zip"
MOUNT = ExpectedMount(dns_name="fs-0.fsx.us-east-2.amazonaws.com", mount_name="abcde")
OBSERVABILITY = NodeObservability(
    log_group="/hyperpod/nodes", metrics_namespace="/aws/sagemaker/Clusters"
)
ADDRESS = "10.0.0.7"
INSTANCE_ID = "i-0123456789abcdef0"


def prepare(folder: Path) -> None:
    """Make what all nodes of a run share: compiled scripts, the search path, and a template."""
    shutil.copytree(LIFECYCLE, folder / "lifecycle", ignore=shutil.ignore_patterns("__pycache__"))
    # S3 keeps no modes, so that nothing may depend on an executable bit.
    for script in (folder / "lifecycle").glob("*.sh"):
        script.chmod(0o644)
    compileall.compile_dir(folder / "lifecycle", quiet=1)
    commands = folder / "bin"
    commands.mkdir()
    for name in REAL:
        found = shutil.which(name)
        assert found is not None, f"{name} is not installed"
        (commands / name).symlink_to(found)
    for name in STUBBED:
        (commands / name).symlink_to(STUB)
    (commands / "python3").symlink_to(NODE_PYTHON)
    write_client(folder / "client.zip", 'echo "setup" >>"$STUB/calls"\necho 16 >"$STUB/efa"\n')


def write_client(archive: Path, setup: str, name: str = SETUP) -> str:
    """Write what stands for AWS's package, and return its checksum."""
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr(name, setup)
    return hashlib.sha256(archive.read_bytes()).hexdigest()


class FakeNode:
    """A Trn2 node of the group ``workers``, unless a test makes something else of it.

    Everything is as it should be: a fault is what a test changes.
    """

    def __init__(self, folder: Path, shared: Path) -> None:
        self.root = folder / "root"
        self.stub = folder / "stub"
        self.scripts = folder / "scripts"
        self.commands = folder / "bin"
        self.environment: dict[str, str] = {}
        self.client_sha256 = hashlib.sha256((shared / "client.zip").read_bytes()).hexdigest()
        self._lay_out(shared)
        self._fill_root()
        self._fill_stub(shared)

    def _lay_out(self, shared: Path) -> None:
        for folder in (self.root, self.stub / "fail", self.scripts):
            folder.mkdir(parents=True)
        for entry in (shared / "lifecycle").iterdir():
            (self.scripts / entry.name).symlink_to(entry)
        shutil.copytree(shared / "bin", self.commands, symlinks=True)

    def _fill_root(self) -> None:
        self.write("/etc/os-release", 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="22.04"\n')
        self.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
        self.write("/etc/group", "root:x:0:\n")
        self.write("/proc/meminfo", "MemTotal:       2097152000 kB\nMemFree: 1 kB\n")
        self.write("/sys/module/neuron/version", "2.24.7.0\n")
        self.path("/fsx").mkdir()
        self.path("/sys/bus/pci/drivers/efa").mkdir(parents=True)
        self.set_efa_devices(16)
        self.join("workers")

    def _fill_stub(self, shared: Path) -> None:
        addresses = [{"ifname": "ens5", "addr_info": [{"local": ADDRESS, "scope": "global"}]}]
        self.state("addresses.json", json.dumps(addresses))
        self.state("mounts", f"{ADDRESS}@tcp:/{MOUNT.mount_name} {self.path('/fsx')}\n")
        for empty in ("calls", "associations", "held", "mountpoints", "active"):
            self.state(empty, "")
        self.state("efa", "16\n")
        self.state("sent", "100\n")
        self.state("traffic", "40\n")
        self.state("agent.json", '{"status": "stopped"}')
        self.set_neuron_devices(16)
        self.state("nvidia.csv", "NVIDIA H100 80GB HBM3, 580.95.05\n" * 8)
        self.state(
            "packages",
            "installed aws-neuronx-dkms 2.24.7.0\n"
            "installed aws-neuronx-runtime-lib 2.28.23.0-1\n"
            "installed linux-image-6.8.0-1021-aws 6.8.0-1021.23\n"
            "installed lustre-client-modules-aws 6.8.0.1021\n"
            "config-files lustre-old 1.0\n",
        )
        (self.stub / "client.zip").symlink_to(shared / "client.zip")

    def path(self, absolute: str) -> Path:
        """Return where the node's file is."""
        return self.root / absolute.lstrip("/")

    def write(self, absolute: str, text: str) -> None:
        """Give the node a file."""
        self.path(absolute).parent.mkdir(parents=True, exist_ok=True)
        self.path(absolute).write_text(text)

    def state(self, name: str, text: str) -> None:
        """Set what a stub answers."""
        (self.stub / name).write_text(text)

    def fail(self, command: str, complaint: str, status: int = 1) -> None:
        """Let a command fail from now on."""
        self.state(f"fail/{command}", f"{status}\n{complaint}\n")

    def forget(self, command: str) -> None:
        """Take a command off the node."""
        (self.commands / command).unlink()

    def join(self, group: str, **node: str) -> None:
        """Make the node one of an instance group, in SageMaker's list."""
        instance = {
            "InstanceName": f"{group}-1",
            "CustomerIpAddress": ADDRESS,
            "InstanceId": INSTANCE_ID,
            **node,
        }
        others = {"InstanceName": "other-1", "CustomerIpAddress": "10.0.0.9", "InstanceId": "i-9"}
        groups = [{"Name": group, "Instances": [others, instance]}]
        self.write("/opt/ml/config/resource_config.json", json.dumps({"InstanceGroups": groups}))

    def set_neuron_devices(self, count: int) -> None:
        """Let ``neuron-ls`` list so many devices."""
        devices = [{"neuron_device": index, "nc_count": 8} for index in range(count)]
        self.state("neuron.json", json.dumps(devices))

    def set_efa_devices(self, count: int) -> None:
        """Give the node so many EFA devices."""
        devices = self.path("/sys/class/infiniband")
        shutil.rmtree(devices, ignore_errors=True)
        for index in range(count):
            device = devices / f"rdmap{index}s0" / "device"
            device.mkdir(parents=True)
            (device / "driver").symlink_to(self.path("/sys/bus/pci/drivers/efa"))

    def expect(self, *groups: NodeExpectation, **settings: Any) -> None:
        """Render the settings with the code that renders them for a cluster.

        Time stands still: everything that is waited for is looked at twice.
        """
        rendered = LifecycleSettings(
            cluster="training", groups=groups, **{"mounts": (MOUNT,), **settings}
        )
        document = {**rendered.as_document(), "mount_timeout_seconds": 0}
        (self.scripts / "settings.json").write_text(json.dumps(document))

    def replace_client(self, setup: str, name: str = SETUP) -> None:
        """Put another package into the bucket, and pin it."""
        (self.stub / "client.zip").unlink()
        self.client_sha256 = write_client(self.stub / "client.zip", setup, name)

    def lifecycle(self, **fields: Any) -> Lifecycle:
        """Return choices of a team that has AWS's package for EFA in its bucket."""
        client = EfaLustreClient(source=CLIENT_SOURCE, sha256=self.client_sha256)
        return Lifecycle(**{"lustre_client": client, **fields})

    def run(self, script: str, limits: str = "") -> subprocess.CompletedProcess[str]:
        """Start an entry point as HyperPod does, within limits of the shell."""
        command = f'{limits}\nexec bash "$0"'
        return self._start("bash", "-c", command, str(self.scripts / script))

    def step(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run one step or sequence as an operator or systemd does."""
        return self._start("python3", "-I", "-S", "-B", str(self.scripts), name)

    def _start(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.commands),
            "STUB": str(self.stub),
            "LIFECYCLE_ROOT": str(self.root),
            **self.environment,
        }
        return subprocess.run(
            [str(self.commands / command), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    @property
    def calls(self) -> list[str]:
        """Everything that was called on the node, in order."""
        return (self.stub / "calls").read_text().splitlines()

    def called(self, beginning: str) -> list[str]:
        """Return the calls that begin with something."""
        return [call for call in self.calls if call.startswith(beginning)]

    @property
    def log(self) -> str:
        """What the scripts have logged on the node."""
        return self.path("/var/log/provision/provisioning.log").read_text()

    @property
    def is_complete(self) -> bool:
        """Whether the node says that it was made whole."""
        return self.path("/var/lib/llm-platform/lifecycle-complete.json").exists()

    def files(self) -> dict[str, bytes]:
        """Return every file of the node but its logs, with its content."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for folder, _, names in os.walk(self.root)
            for path in (Path(folder) / name for name in names)
            if path.is_file() and "/var/log/" not in str(path)
        }
