"""The records of a dataset, in the two forms that models learn from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

SCHEMA_VERSION: Final = "bedrock-conversation-2024"
"""https://docs.aws.amazon.com/bedrock/latest/userguide/model-customization-prepare.html"""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class RecordFormat(StrEnum):
    """What a line looks like."""

    CONVERSATION = "conversation"
    PROMPT_COMPLETION = "prompt-completion"


class RecordError(Exception):
    """A line is no record; the message says why, and quotes nothing of it."""


@dataclass(frozen=True)
class Turn:
    """What one side says."""

    role: str
    text: str


@dataclass(frozen=True)
class Record:
    """A conversation whose last turn is the answer to learn."""

    system: str
    turns: tuple[Turn, ...]

    @property
    def answer(self) -> str:
        """What the model must learn to say."""
        return self.turns[-1].text

    @property
    def question(self) -> str:
        """Everything before the answer."""
        return "\n".join([self.system, *(f"{turn.role}: {turn.text}" for turn in self.turns[:-1])])

    @property
    def instructions(self) -> Iterator[str]:
        """What the user and the system say, each by itself."""
        yield self.system
        yield from (turn.text for turn in self.turns if turn.role == "user")

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.question}\n{self.answer}"


def parse(line: bytes, form: RecordFormat) -> Record:
    """Return the record in one line.

    Raises:
        RecordError: it is none.
    """
    document = _json(line)
    if form is RecordFormat.CONVERSATION:
        return _conversation(document)
    return _prompt_completion(document)


def _json(line: bytes) -> Mapping[str, Any]:
    if line.startswith(BYTE_ORDER_MARK):
        _refuse("It begins with a byte order mark; save the file as UTF-8 without one.")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"Byte {error.start + 1} is not UTF-8.") from None
    if not text.strip():
        _refuse("The line is empty.")
    try:
        document = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise RecordError(f"It is not JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise RecordError("It is nested too deeply.") from None
    except ValueError:
        # Python's own limit: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        raise RecordError("A number in it has thousands of digits.") from None
    if not isinstance(document, dict):
        _refuse("It is not a JSON object.")
    return document


def _no_number(name: str) -> NoReturn:
    raise RecordError(f"It is not JSON: {name} is no number.")


def _refuse(reason: str) -> NoReturn:
    raise RecordError(reason)


def _only(document: Mapping[str, Any], known: set[str], where: str) -> None:
    # Names of fields may hold anything, so they are counted and not told.
    unknown = len(document.keys() - known)
    if unknown:
        _refuse(f"{where} has {unknown} fields other than {', '.join(sorted(known))}.")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse(f"{where} is no text, or an empty one.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RecordError(f"{where} has half of a character, as in \\ud800.") from None
    return value


def _prompt_completion(document: Mapping[str, Any]) -> Record:
    _only(document, {"prompt", "completion"}, "The record")
    question = Turn("user", _text(document.get("prompt"), "prompt"))
    return Record(
        "", (question, Turn("assistant", _text(document.get("completion"), "completion")))
    )


def _conversation(document: Mapping[str, Any]) -> Record:
    _only(document, {"schemaVersion", "system", "messages"}, "The record")
    if document.get("schemaVersion") != SCHEMA_VERSION:
        _refuse(f"schemaVersion is not {SCHEMA_VERSION}.")
    system = _blocks(document["system"], "system") if "system" in document else ""
    messages = document.get("messages")
    if not isinstance(messages, list) or len(messages) < 2:
        _refuse("messages is not a list of at least a question and its answer.")
    turns = tuple(_turn(index, message) for index, message in enumerate(messages))
    if turns[-1].role != "assistant":
        _refuse("The last message is not the assistant's, so there is nothing to learn.")
    return Record(system, turns)


def _turn(index: int, message: object) -> Turn:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        _refuse(f"{where} is not a JSON object.")
    _only(message, {"role", "content"}, where)
    expected = ("user", "assistant")[index % 2]
    if message.get("role") != expected:
        _refuse(f"The role of {where} is not {expected}: both take turns, and the user begins.")
    return Turn(expected, _blocks(message.get("content"), f"{where}.content"))


def _blocks(blocks: object, where: str) -> str:
    if not isinstance(blocks, list) or not blocks:
        _refuse(f"{where} is not a list with something in it.")
    texts = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict) or set(block) != {"text"}:
            _refuse(f"{where}[{index}] is not a block of text, and nothing else is checked here.")
        texts.append(_text(block["text"], f"{where}[{index}].text"))
    return "\n".join(texts)
