"""Reading environments from their files."""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.environment import Environment
from config.errors import ConfigError
from llm_constructs.specs.problem import Problem, SpecificationError

DIRECTORY = Path(__file__).parent
"""Where the environments' files are."""

ALL = "all"
"""The name that selects every deployable environment at once."""


def environment_names(directory: Path = DIRECTORY) -> tuple[str, ...]:
    """Return the names of the environments that have a file, sorted."""
    return tuple(sorted(path.stem for path in directory.glob("*.toml")))


def load(name: str, directory: Path = DIRECTORY) -> Environment:
    """Return the environment of ``<directory>/<name>.toml``.

    Raises :class:`ConfigError`, which lists every problem of the file.
    """
    file = directory / f"{name}.toml"
    if name not in environment_names(directory):
        known = environment_names(directory)
        raise ConfigError(
            file.name,
            [
                Problem(
                    "env",
                    name,
                    "There is no such environment.",
                    f"Choose {', '.join((*known, ALL))}, or add the file config/{file.name}.",
                )
            ],
        )
    content = _parse(file)
    try:
        # JSON mode is strict about types, so that "3" is no number, but takes lists for tuples.
        return Environment.model_validate_json(
            json.dumps(content, default=str), strict=True, context={"name": name}
        )
    except ValidationError as error:
        raise ConfigError(file.name, _problems(error)) from None


def load_selected(selection: str, directory: Path = DIRECTORY) -> tuple[Environment, ...]:
    """Return the environment called ``selection``, or every one for :data:`ALL`.

    Raises :class:`ConfigError` of the first file that has problems.
    """
    names = environment_names(directory) if selection == ALL else (selection,)
    return tuple(load(name, directory) for name in names)


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        problem = Problem(
            "",
            None,
            f"It is not TOML: {error}.",
            "Correct that line; strings need quotes, and a table may appear only once.",
        )
    except UnicodeDecodeError as error:
        problem = Problem(
            "", None, f"It is not UTF-8 text ({error.reason}).", "Save the file as UTF-8."
        )
    raise ConfigError(file.name, [problem])


def _problems(error: ValidationError) -> Iterator[Problem]:
    for details in error.errors(include_url=False):
        key = ".".join(str(part) for part in details["loc"])
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, SpecificationError):
            yield from (problem.within(key) for problem in cause.problems)
        else:
            yield _problem(key, details)


def _problem(key: str, details: ErrorDetails) -> Problem:
    match details["type"]:
        case "missing":
            return Problem(key, None, "It is required and missing.", f"Add {_assignment(key)}.")
        case "extra_forbidden" | "unexpected_keyword_argument":
            return Problem(
                key, details["input"], "There is no such key here.", _did_you_mean(details["loc"])
            )
        case "enum":
            expected = details.get("ctx", {}).get("expected", "")
            return Problem(
                key, details["input"], "It is not one of the choices.", f"Choose {expected}."
            )
        case kind if kind.endswith("_type") and kind.split("_")[0] in _KINDS:
            wanted = _KINDS[kind.split("_")[0]]
            return Problem(
                key, _shown(details["input"]), f"It must be {wanted[0]}.", f"Write {wanted[1]}."
            )
        case _:
            return Problem(
                key,
                _shown(details["input"]),
                f"{details['msg']}.",
                "See docs/configuration.md for what may stand here.",
            )


_KINDS: Mapping[str, tuple[str, str]] = {
    "string": ("text", 'it in quotes, for example "text"'),
    "int": ("a whole number", "it without quotes or decimal point, for example 3"),
    "bool": ("a truth value", "true or false, without quotes"),
    "tuple": ("a list", 'it in brackets, for example ["a", "b"]'),
    "frozen": ("a list", 'it in brackets, for example ["a", "b"]'),  # of `frozen_set_type`
    "dict": ("a table", "it as a table of its own, [name] with keys below"),
    "dataclass": ("a table", "it as a table of its own, [name] with keys below"),
    "model": ("a table", "it as a table of its own, [name] with keys below"),
}


def _assignment(key: str) -> str:
    *table, name = key.split(".")
    return f"{name} = … to [{'.'.join(table)}]" if table else f"{name} = … at the top of the file"


def _shown(value: object) -> object:
    return (
        value if not isinstance(value, Mapping) else f"a table with {', '.join(value) or 'no keys'}"
    )


def _did_you_mean(loc: Sequence[int | str]) -> str:
    known = _known_keys([str(part) for part in loc[:-1]])
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}The keys here are {', '.join(sorted(known))}." if known else "Remove it."


def _known_keys(path: Sequence[str]) -> list[str]:
    schema = Environment.model_json_schema()
    definitions: Mapping[str, Any] = schema["$defs"]
    node: Mapping[str, Any] = schema
    for part in path:
        node = node.get("items", {}) if part.isdigit() else node.get("properties", {}).get(part, {})
        candidates = [node, *node.get("anyOf", [])]
        node = next(
            (
                definitions[candidate["$ref"].rsplit("/", 1)[-1]]
                for candidate in candidates
                if "$ref" in candidate
            ),
            next((c for c in candidates if c.get("type") == "array"), node),
        )
    return list(node.get("properties", {}))
