"""The local cloud: an emulator of AWS, a fake Bedrock, and the ``local`` environment on them."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from config import load
from config.environment import Environment
from config.node import packaged_node
from ops.local import processes
from ops.local.access import Access, LocalCloudError
from ops.local.certificate import make_certificate
from ops.synthesis import CLI

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".cache" / "local"
"""Everything that a local cloud writes, so that removing it removes the cloud."""

EMULATOR = ROOT / ".cache" / "emulator"
"""The emulator's own packages: it wants a botocore that the project cannot use."""

ENVIRONMENT = "local"

EXECUTION_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
"""What `cdk bootstrap` takes by itself when nothing else is said."""

READY_SECONDS = 180.0
SYNTHESIS_SECONDS = 600.0
BOOTSTRAP_SECONDS = 600.0
DEPLOYMENT_SECONDS = 900.0
"""Many times what each takes on two busy cores: a wait ends, whatever happens."""

_AT_ONCE = ("--concurrency", "4")
_POLL_SECONDS = 0.05
_LAST_LINES = 30


class LocalCloud:
    """A local cloud with all its files in ``folder``, of the environment in ``project``.

    ``bedrock`` is the address of a fake that runs already; by default the cloud starts its own.
    """

    def __init__(
        self, folder: Path = FOLDER, *, project: Path = ROOT, bedrock: str | None = None
    ) -> None:
        self.folder = folder
        self._project = project
        self._bedrock = bedrock

    @property
    def environment(self) -> Environment:
        """What ``local.toml`` says now."""
        return load(ENVIRONMENT, self._project / "config")

    @cached_property
    def access(self) -> Access:
        """How the cloud is reached.

        Raises:
            LocalCloudError: there is none.
        """
        return Access.read(self.folder / "access.json")

    @property
    def marks(self) -> dict[str, processes.ProcessMark]:
        """The cloud's processes by name, whether or not they still run."""
        return processes.saved(self.folder / "processes.json")

    @property
    def running(self) -> bool:
        """Whether every process runs."""
        marks = self.marks
        return bool(marks) and all(mark.process() for mark in marks.values())

    @property
    def assembly(self) -> Path:
        """Where the synthesised templates are."""
        return self.folder / "cdk.out"

    @property
    def emulated_types(self) -> Path:
        """The file in which the emulator lists the resource types that it emulates."""
        return self.folder / "emulated.json"

    def up(self) -> None:
        """Start everything, and deploy; on a failure nothing stays behind but the logs.

        Raises:
            LocalCloudError: a cloud runs already, or a step fails; the message holds the log's end.
        """
        with self._alone():
            self._prepare()
            try:
                with ThreadPoolExecutor(max_workers=1) as background:
                    synthesis = background.submit(self.synthesise)
                    self.start()
                    self.bootstrap()
                    synthesis.result()
                self.deploy()
            except BaseException:
                # Ctrl-C too.
                self.stop()
                raise

    def down(self) -> None:
        """End everything and remove every file.

        Raises:
            LocalCloudError: somebody is starting or ending it in this moment.
        """
        with self._alone():
            self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others of this folder from starting or ending a cloud for as long.

        The lock is on the folder above, so that it leaves no file, and goes with its process.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalCloudError(
                "Somebody is starting or ending the local cloud of this folder. Wait for them, or "
                "press Ctrl-C there."
            ) from None
        else:
            yield
        finally:
            os.close(handle)

    def start(self) -> None:
        """Start the emulator and the fake Bedrock, empty; return when both answer.

        Raises:
            LocalCloudError: a cloud runs already, or a process does not start.
        """
        if not (self.folder / "access.json").exists():
            self._prepare()
        if self._bedrock is None:
            port = self.access.bedrock.rsplit(":", 1)[-1]
            self._start_process(
                "bedrock", [sys.executable, "-m", "ops.fake_bedrock", port], self._environment
            )
        python = EMULATOR / "bin" / "python"
        self._start_process(
            "emulator", [python, "-m", "ops.local.emulator"], self._emulator_environment
        )
        for name in self.marks:
            self._wait_for(name)

    def stop(self) -> None:
        """End every process, and what each has started. What they held in memory is gone."""
        processes.stop(list(self.marks.values()))

    def bootstrap(self) -> None:
        """Make what the CDK needs in the account, with the stock command line."""
        target = f"aws://{self.access.account}/{self.access.region}"
        # Named, because ministack takes the template's choice between it and a default wrongly.
        policy = ("--cloudformation-execution-policies", EXECUTION_POLICY)
        self._cdk(["bootstrap", target, *policy], BOOTSTRAP_SECONDS)

    def synthesise(self) -> None:
        """Synthesise the environment. `make synth` makes the checks, which are left out here."""
        self._run(
            [sys.executable, self._project / "app.py", "-c", f"env={ENVIRONMENT}"],
            {**self._environment, "CDK_OUTDIR": str(self.assembly)},
            SYNTHESIS_SECONDS,
        )

    def deploy(self) -> None:
        """Deploy every stack as it was synthesised, with the stock command line."""
        options = ("--require-approval", "never", *_AT_ONCE, "--progress", "events")
        self._cdk(["deploy", "--all", *options, "--app", str(self.assembly)], DEPLOYMENT_SECONDS)

    def destroy(self) -> None:
        """Delete every stack, with the stock command line."""
        self._cdk(
            ["destroy", "--all", "--force", *_AT_ONCE, "--app", str(self.assembly)],
            DEPLOYMENT_SECONDS,
        )

    def memory(self) -> dict[str, float]:
        """Return the MiB that each process takes with all that it started; 0 when it has ended."""
        return {name: processes.memory([mark]) / 2**20 for name, mark in self.marks.items()}

    def output(self, layer: str, name: str) -> str:
        """Return an output of a deployed stack.

        Raises:
            LocalCloudError: there is no such stack or output, or the emulator does not answer.
        """
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        stack = f"llm-{ENVIRONMENT}-{layer}"
        client = boto3.client(
            "cloudformation",
            endpoint_url=self.access.endpoint,
            verify=self.access.certificate,
            region_name=self.access.region,
            aws_access_key_id=self.access.account,
            aws_secret_access_key=self.access.secret,
        )
        try:
            outputs = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
        except (BotoCoreError, ClientError) as error:
            raise LocalCloudError(f"The local cloud does not answer: {error}") from None
        found = [it["OutputValue"] for it in outputs if it.get("OutputKey") == name]
        if not found:
            raise LocalCloudError(f"The stack {stack} has no output {name}.")
        return str(found[0])

    def _prepare(self) -> None:
        if any(mark.process() for mark in self.marks.values()):
            raise LocalCloudError("A local cloud runs already. End it with `make local-down`.")
        if not (EMULATOR / "bin" / "python").exists():
            raise LocalCloudError("The emulator is not installed. Run `make install`.")
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True)
        environment = self.environment
        certificate = self.folder / "certificate.pem"
        make_certificate(certificate, self._key_file)
        access = Access.new(
            account=environment.account,
            region=environment.region,
            certificate=certificate,
            bedrock=self._bedrock,
        )
        access.write(self.folder / "access.json")
        self.__dict__.pop("access", None)

    @property
    def _key_file(self) -> Path:
        return self.folder / "certificate.key"

    @property
    def _environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        node = packaged_node()
        programs = [str(program.parent) for program in (Path(sys.executable), node) if program]
        return {
            **inherited,
            # What the CDK's command line and the emulator keep for themselves stays in the folder.
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PATH": os.pathsep.join((*programs, os.environ.get("PATH", ""))),
            "PYTHONPATH": str(ROOT),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_VALIDATION": "false",
        }

    @property
    def _emulator_environment(self) -> dict[str, str]:
        # Where they are is all that is asked: cfn-lint takes 0.3 s to import.
        from importlib.util import find_spec

        schemas, compiled = find_spec("cfnlint"), find_spec("msgspec")
        if schemas is None or schemas.origin is None or compiled is None or not compiled.origin:
            raise LocalCloudError("The development packages are not installed. Run `make install`.")
        return {
            **self._environment,
            **self.access.client_environment,
            "AUTH": "true",
            "USE_SSL": "1",
            "GATEWAY_PORT": str(self.access.port),
            "MINISTACK_REGION": self.access.region,
            "MINISTACK_ACCOUNT_ID": self.access.account,
            "MINISTACK_SSL_CERT": self.access.certificate,
            "MINISTACK_SSL_KEY": str(self._key_file),
            "LOG_LEVEL": "WARNING",
            "LOCAL_BEDROCK": self.access.bedrock,
            "LOCAL_EMULATED_TYPES": str(self.emulated_types),
            "LOCAL_PACKAGES": str(Path(compiled.origin).parent.parent),
            "LOCAL_PLAIN_PORT": str(self.access.plain_port),
            "LOCAL_SCHEMAS": str(Path(schemas.origin).parent / "data" / "schemas"),
            # Lambda's Node.js brings AWS's SDK along.
            "NODE_PATH": str(ROOT / "node_modules"),
        }

    def _start_process(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]
    ) -> None:
        log = self._log_of(name)
        mark = processes.start(command, folder=ROOT, environment=environment, log=log)
        processes.save({**self.marks, name: mark}, self.folder / "processes.json")

    def _log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _wait_for(self, name: str) -> None:
        bedrock = int(self.access.bedrock.rsplit(":", 1)[-1])
        port = bedrock if name == "bedrock" else self.access.port
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.marks[name].process() is not None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(_POLL_SECONDS)
        raise LocalCloudError(f"The {name} did not start:\n{_end_of(self._log_of(name))}")

    def _cdk(self, arguments: Sequence[str], seconds: float) -> None:
        node = packaged_node()
        if node is None or not CLI.exists():
            raise LocalCloudError("The CDK command line is not installed. Run `make install`.")
        self._run(
            [node, CLI, *arguments, "--no-notices"],
            {**self._environment, **self.access.client_environment},
            seconds,
        )

    def _run(
        self, command: Sequence[str | Path], environment: Mapping[str, str], seconds: float
    ) -> None:
        log = self._log_of("deployment")
        with log.open("a", encoding="utf-8") as output:
            try:
                done = subprocess.run(
                    list(map(str, command)),
                    cwd=self.folder,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise LocalCloudError(
                    f"It was not done within {seconds:.0f} seconds:\n{_end_of(log)}"
                ) from None
        if done.returncode:
            raise LocalCloudError(f"It failed:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
