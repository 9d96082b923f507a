"""What is wrong with an environment's file, told in sentences."""

from collections.abc import Iterable

from llm_constructs.specs.problem import Problem


class ConfigError(Exception):
    """One file that cannot be used, with every problem it has.

    Its text has a line for each problem: file, key, value, reason and remedy.
    """

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{file}: {_line(problem)}" for problem in self.problems))


def _line(problem: Problem) -> str:
    if problem.value is None:
        return f"{problem.field}: {problem.reason} {problem.remedy}".removeprefix(": ")
    return str(problem)
