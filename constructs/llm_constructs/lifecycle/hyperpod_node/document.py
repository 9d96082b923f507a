"""A JSON document whose every key must be known, of the right type, and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hyperpod_node.host import NodeError


class Document:
    """One object of a JSON file. Reading a key that is missing or of another type raises
    :class:`NodeError` with the key's place.
    """

    def __init__(self, place: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise NodeError(f"{place} is {_kind(content)} and not an object.")
        self._place = place
        self._content = content
        self._unread = set(content)

    @classmethod
    def parse(cls, name: str, text: str) -> Document:
        """Read the file ``name``, which must be JSON with Unix line ends."""
        if "\r" in text:
            raise NodeError(
                f"{name} has CRLF line ends: something has rewritten it on its way. Deploy the "
                "scripts again, without a tool that changes line ends."
            )
        try:
            content = json.loads(text)
        except ValueError as error:
            raise NodeError(f"{name} is no JSON: {error}.") from None
        return cls(name, content)

    def text(self, key: str) -> str:
        """Return a string that is not empty."""
        value = self._get(key, str, "a string")
        if not value:
            raise NodeError(f"{self._place}: {key} is empty.")
        return str(value)

    def number(self, key: str) -> int:
        """Return a whole number of at least 0."""
        value = self._get(key, int, "a whole number")
        if isinstance(value, bool) or value < 0:
            raise NodeError(f"{self._place}: {key} is {value} and not a whole number from 0 on.")
        return int(value)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return bool(self._get(key, bool, "true or false"))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        values = self._get(key, list, "a list")
        if not all(isinstance(value, str) for value in values):
            raise NodeError(f"{self._place}: {key} holds something other than strings.")
        return tuple(values)

    def optional_text(self, key: str) -> str | None:
        """Return a string, or nothing where the key is null."""
        return None if self._is_null(key) else self.text(key)

    def optional_number(self, key: str) -> int | None:
        """Return a number, or nothing where the key is null."""
        return None if self._is_null(key) else self.number(key)

    def optional(self, key: str) -> Document | None:
        """Return an object, or nothing where the key is null."""
        return None if self._is_null(key) else Document(f"{self._place}: {key}", self._raw(key))

    def objects(self, key: str) -> Iterator[Document]:
        """Return the objects of a list."""
        for index, content in enumerate(self._get(key, list, "a list")):
            yield Document(f"{self._place}: {key}[{index}]", content)

    def named_objects(self, key: str) -> Iterator[tuple[str, Document]]:
        """Return the objects of an object, with their keys."""
        for name, content in self._get(key, dict, "an object").items():
            yield name, Document(f"{self._place}: {key}.{name}", content)

    def finish(self) -> None:
        """Raise :class:`NodeError` if a key was never read: the scripts would ignore it."""
        if self._unread:
            raise NodeError(
                f"{self._place} has {', '.join(sorted(self._unread))}, which these scripts do not "
                "know. Deploy scripts and settings together."
            )

    def _raw(self, key: str) -> Any:
        if key not in self._content:
            raise NodeError(f"{self._place} has no {key}. Deploy scripts and settings together.")
        self._unread.discard(key)
        return self._content[key]

    def _get(self, key: str, wanted: type, description: str) -> Any:
        value = self._raw(key)
        if not isinstance(value, wanted):
            raise NodeError(f"{self._place}: {key} is {_kind(value)} and not {description}.")
        return value

    def _is_null(self, key: str) -> bool:
        return self._raw(key) is None


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return kinds.get(type(value), f"`{value}`")
