"""How large the gateway's containers are, and how many there may be."""

from dataclasses import dataclass

from llm_constructs.specs.problem import Problems

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


@dataclass(frozen=True)
class ServiceCapacity:
    """One task and the number of them.

    A task has ``cpu`` units (1024 are one virtual CPU) and ``memory_mib``, and answers
    ``concurrent_requests`` at once, of which each may be a stream that lasts for minutes. Tasks are
    added when they have more than ``requests_per_minute`` each or are busier than ``cpu_percent``.

    The defaults: a task takes 200 calls at once; at 20 seconds each that is 600 a minute, and two
    thirds of it leave room for the minutes that a new task needs.

    Raises :class:`SpecificationError` for what Fargate or the scaling refuses.
    """

    cpu: int = 1024
    memory_mib: int = 2048
    minimum_tasks: int = 2
    maximum_tasks: int = 20
    concurrent_requests: int = 200
    requests_per_minute: int = 400
    cpu_percent: int = 60

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
