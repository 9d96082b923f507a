"""What Lambda tells a function of its invocation."""


class Context:
    """An invocation with this many milliseconds left."""

    def __init__(self, milliseconds: int = 900_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds
