"""Quantities of Kubernetes, such as ``250m`` and ``16Gi``."""

import re
from decimal import Decimal
from typing import Final

_FACTORS: Final = {
    "": Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")


def quantity(text: str | float) -> Decimal:
    """Return the number that ``text`` means.

    Raises :class:`ValueError` for what is no quantity:
    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[2] not in _FACTORS:
        raise ValueError(f"{text} is no quantity.")
    return Decimal(match[1]) * _FACTORS[match[2]]
