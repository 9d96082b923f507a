"""How large the gateway's containers are, and how many there may be."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network

from llm_constructs.specs.container_image import check_image
from llm_constructs.specs.problem import Problems

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""One label of a domain name."""

FARGATE_MEMORY_MIB: dict[int, range | tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
"""What memory Fargate gives for each size of CPU, of which 1024 are one virtual CPU.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
"""


@dataclass(frozen=True, kw_only=True)
class ServiceCapacity:
    """The size of one task of the container service, and the number of them.

    The defaults: a task takes 200 calls at once; at 20 seconds each that is 600 a minute, and two
    thirds of it leave room for the minutes that a new task needs.

    Raises :class:`SpecificationError` for what Fargate or the scaling refuses.
    """

    cpu: int = 1024
    """CPU units of a task, of which 1024 are one virtual CPU."""
    memory_mib: int = 2048
    """Memory of a task; Fargate gives certain sizes for each number of CPU units."""
    minimum_tasks: int = 2
    """Tasks that always run. Two survive the loss of an availability zone."""
    maximum_tasks: int = 20
    """Tasks under load."""
    concurrent_requests: int = 200
    """Requests that a task answers at once, each of which may be a stream of minutes."""
    requests_per_minute: int = 400
    """Requests of each task above which tasks are added."""
    cpu_percent: int = 60
    """Use of the tasks' CPU above which tasks are added."""

    def __post_init__(self) -> None:
        problems = Problems("gateway service")
        memory = FARGATE_MEMORY_MIB.get(self.cpu)
        problems.require(
            memory is not None,
            "cpu",
            self.cpu,
            "Fargate has no tasks of this size.",
            f"Choose one of {', '.join(map(str, FARGATE_MEMORY_MIB))}.",
        )
        problems.require(
            memory is None or self.memory_mib in memory,
            "memory_mib",
            self.memory_mib,
            f"Fargate does not give this memory to tasks with {self.cpu} CPU units.",
            f"Choose one of {', '.join(map(str, memory or ()))}.",
        )
        problems.require(
            self.minimum_tasks >= 1,
            "minimum_tasks",
            self.minimum_tasks,
            "Without a task nothing answers, and nothing is measured that could add one.",
            "Give at least 1; 2 survive the loss of an availability zone.",
        )
        problems.require(
            self.maximum_tasks >= self.minimum_tasks,
            "maximum_tasks",
            self.maximum_tasks,
            f"It is below minimum_tasks, which is {self.minimum_tasks}.",
            "Raise it, or lower minimum_tasks.",
        )
        for field in ("concurrent_requests", "requests_per_minute"):
            value = getattr(self, field)
            problems.require(
                value >= 1, field, value, "A task must answer something.", "Give at least 1."
            )
        problems.require(
            1 <= self.cpu_percent <= 100,
            "cpu_percent",
            self.cpu_percent,
            "It is a share of the task's CPU.",
            "Give a number from 1 to 100.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class ContainerService:
    """The gateway on ECS Fargate behind a load balancer, beside its function.

    docs/gateway-service.md says what it promises and how its image is built.
    """

    repository: str
    """The ECR repository of the image, in the environment's account and region."""
    version: str
    """The image's tag, such as `1.4.0`, or its digest, beginning with `sha256:`."""
    domain_prefix: str = "service"
    """The name below the network's domain under which the service is reached."""
    internet_facing: bool = False
    """Whether the load balancer has public addresses. Only the clients below connect even so."""
    client_cidrs: tuple[str, ...] = ()
    """IPv4 ranges that may connect, such as the VPC's."""
    client_security_groups: tuple[str, ...] = ()
    """Ids of security groups whose members may connect."""
    capacity: ServiceCapacity = ServiceCapacity()
    """How large a task is, and how many there may be."""

    def __post_init__(self) -> None:
        problems = Problems("container service")
        check_image(problems, self.repository, self.version)
        problems.require(
            LABEL.fullmatch(self.domain_prefix) is not None,
            "domain_prefix",
            self.domain_prefix,
            "It is not one label of a domain name, and the certificate covers no more.",
            "Use up to 63 lower-case letters, digits and hyphens, without a dot.",
        )
        self._check_clients(problems)
        problems.raise_if_any()

    def _check_clients(self, problems: Problems) -> None:
        problems.require(
            bool(self.client_cidrs or self.client_security_groups),
            "client_cidrs",
            [],
            "Nobody could connect to the service.",
            "Name ranges, such as the VPC's, or client_security_groups.",
        )
        for cidr in self.client_cidrs:
            problems.require(
                _is_network(cidr),
                "client_cidrs",
                cidr,
                "It is not an IPv4 network, or it is every address there is.",
                "Give a range such as 10.0.0.0/16. Whoever must be reached from everywhere uses "
                "the API beside the service.",
            )
        for group in self.client_security_groups:
            problems.require(
                re.fullmatch(r"sg-[0-9a-f]{8,17}", group) is not None,
                "client_security_groups",
                group,
                "It is not the id of a security group.",
                "Give an id such as sg-0123456789abcdef0.",
            )


def _is_network(cidr: str) -> bool:
    try:
        return IPv4Network(cidr).prefixlen > 0 and "/" in cidr
    except ValueError:
        return False
