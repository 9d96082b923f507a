"""Check digits of numbers that identify people, cards and accounts.

Each function takes the number without separators and says whether its check digits hold. The
algorithms are public; where a country names its own, the national identifier's row in
:mod:`gateway.governance.national_ids` says so.
"""

from collections.abc import Sequence

_VERHOEFF_TABLE = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)

_VERHOEFF_PERMUTATION = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def luhn(digits: str) -> bool:
    """Return whether the last digit holds by Luhn (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """Return whether the last digit holds by Verhoeff's dihedral scheme."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        permuted = int(_VERHOEFF_PERMUTATION[place % 8][int(digit)])
        check = int(_VERHOEFF_TABLE[check][permuted])
    return check == 0


def mod_97(text: str) -> bool:
    """Return whether letters and digits, as a number base 36 per letter, leave 1 by 97.

    This is ISO/IEC 7064 MOD 97-10; an IBAN's first four characters must be at the end.
    """
    return int("".join(str(int(character, 36)) for character in text)) % 97 == 1


def mod_11_10(digits: str) -> bool:
    """Return whether the last digit holds by ISO/IEC 7064 MOD 11,10."""
    product = 10
    for digit in digits[:-1]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def weighted(digits: str, weights: Sequence[int]) -> int:
    """Return the sum of the digits times their weights; digits without a weight are left out."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))
