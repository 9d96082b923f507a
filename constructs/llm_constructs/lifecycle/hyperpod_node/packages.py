"""Which packages the image has installed, read and never changed."""

from __future__ import annotations

import re

from hyperpod_node.host import CommandError, Host, NodeError

_DIGITS = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")


def installed_packages(host: Host, *patterns: str) -> dict[str, str]:
    """Return the versions of the installed packages whose names match; none is no error."""
    if host.is_ubuntu:
        fields = "${db:Status-Status} ${Package} ${Version}\n"
        command = ("dpkg-query", "--show", f"--showformat={fields}", *patterns)
    else:
        fields = "installed %{NAME} %{VERSION}\n"
        command = ("rpm", "--query", "--all", "--queryformat", fields, *patterns)
    try:
        lines = host.run(*command).splitlines()
    except CommandError as error:
        # dpkg-query ends with 1 if one of the patterns matches nothing.
        if error.status != 1:
            raise
        lines = []
        if len(patterns) > 1:
            found = (installed_packages(host, pattern) for pattern in patterns)
            return {name: version for some in found for name, version in some.items()}
    words = [line.split() for line in lines]
    return {word[1]: word[2] for word in words if len(word) == 3 and word[0] == "installed"}


def is_at_least(version: str, floor: str) -> bool:
    """Compare the numbers that both begin with, without an epoch: ``1:2.10-1`` is above ``2.9``."""
    return _numbers(version) >= _numbers(floor)


def _numbers(version: str) -> tuple[int, ...]:
    found = _DIGITS.match(version)
    if found is None:
        raise NodeError(f"{version} is no version that can be compared.")
    return tuple(int(number) for number in found[1].split("."))
