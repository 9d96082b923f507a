"""Personal data that patterns can find: e-mail addresses, telephone numbers, IP addresses.

The kinds are Dolma's (https://arxiv.org/abs/2402.00159, section 5.3). Names and postal addresses
are not found.
"""

import re
from ipaddress import IPv4Address

from curation.reason import Reason, Rejection
from curation.rules import PersonalData, Rules

_DIGIT = re.compile(r"\d")
_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(
    r"(?<![\w.])\+?(?:\d{1,3}[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?!\w)"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")

_MASKS = {"email": "|||EMAIL_ADDRESS|||", "phone": "|||PHONE_NUMBER|||", "ip": "|||IP_ADDRESS|||"}


def redacted(text: str) -> tuple[str, int]:
    """Return the text with every finding replaced by its kind, and the number of findings.

    Addresses of private networks are nobody's and stay.
    """
    findings = 0
    if "@" in text:
        text, count = _EMAIL.subn(_MASKS["email"], text)
        findings += count
    # Telephone numbers and addresses of the Internet hold a digit; most text holds none.
    if not _DIGIT.search(text):
        return text, findings
    text, count = _PHONE.subn(_MASKS["phone"], text)
    findings += count
    kept = 0

    def mask(match: re.Match[str]) -> str:
        nonlocal kept
        if _is_public(match[0]):
            return _MASKS["ip"]
        kept += 1
        return match[0]

    text, count = _IPV4.subn(mask, text)
    return text, findings + count - kept


def treated(text: str, rules: Rules) -> str | Rejection:
    """Return the text as the rules want it, or why the record is rejected."""
    if rules.personal_data is PersonalData.KEEP:
        return text
    clean, findings = redacted(text)
    allowed = 0 if rules.personal_data is PersonalData.REJECT else rules.maximum_personal_data
    if findings > allowed:
        return Rejection(Reason.PERSONAL_DATA, f"{findings} findings")
    return clean


def _is_public(address: str) -> bool:
    try:
        return IPv4Address(address).is_global
    except ValueError:
        return False
