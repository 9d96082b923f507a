"""Secrets, accounts, contacts and network addresses, and the list of every detector."""

import base64
import binascii
import ipaddress
import json
import re

from gateway.governance.checksums import luhn, mod_97
from gateway.governance.detector import Detector, after, compiled, edged, whole
from gateway.governance.national_ids import NATIONAL_IDS, NationalId, bare
from gateway.governance.personal_detectors import PERSONAL

CONTEXT_LENGTH = 48
"""How many characters before an identifier its context word may stand."""

_IBAN_TABLE = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 "
    "DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 "
    "IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 "
    "MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 "
    "SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
)

IBAN_LENGTHS = {part[:2]: int(part[2:]) for part in _IBAN_TABLE.split()}
"""Characters of an IBAN by country (https://www.swift.com/standards/data-standards/iban)."""


def _jwt(match: re.Match[str]) -> int:
    header = match[0].split(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError):
        return 0
    return len(match[0]) if "alg" in decoded else 0


def _random(match: re.Match[str]) -> int:
    kinds = (str.isupper, str.islower, str.isdigit)
    mixed = all(any(kind(character) for character in match[0]) for kind in kinds)
    return len(match[0]) if mixed else 0


def _with_digit(match: re.Match[str]) -> int:
    """Accept a word that has a digit: `the password is wrong` does not tell one."""
    return len(match[0]) if re.search(r"\d", match[1]) else 0


def _iban(match: re.Match[str]) -> int:
    """Return how much of a match is an IBAN; it may have caught a following word or number."""
    text = match[0]
    length = IBAN_LENGTHS.get(text[:2].upper(), 0)
    places = [place for place, character in enumerate(text) if character.isalnum()]
    if not length or len(places) < length:
        return 0
    end = places[length - 1] + 1
    account = bare(text[:end])
    return end if mod_97(account[4:] + account[:4]) else 0


def _card(match: re.Match[str]) -> int:
    digits = bare(match[0])
    return len(match[0]) if len(set(digits)) > 1 and luhn(digits) else 0


def _ip_address(match: re.Match[str]) -> int:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return 0
    before = match.string[max(0, match.start() - 12) : match.start()].lower()
    # `10::20` is a slice more often than an address: addresses have a group of three or four.
    is_slice = ":" in match[0] and not re.search(r"[0-9A-Fa-f]{3}", match[0])
    is_version = re.search(r"(?<![a-z])(?:version|release|ver|v)[ .:=]*$", before) is not None
    nobody = address.is_loopback or address.is_unspecified
    return 0 if nobody or is_slice or is_version else len(match[0])


def _phone(match: re.Match[str]) -> int:
    digits = bare(match[0])
    return len(match[0]) if len(set(digits)) > 1 else 0


def _national(identifier: NationalId) -> Detector:
    def accept(match: re.Match[str]) -> int:
        if identifier.context:
            start = max(0, match.start() - CONTEXT_LENGTH)
            context = compiled(identifier.context, ignore_case=True)
            if not context.search(match.string, start, match.start()):
                return 0
        number = bare(match[0])
        # A number of one digit only holds by some check digits, and is nobody's.
        return len(match[0]) if len(set(number)) > 1 and identifier.valid(number) else 0

    return Detector(identifier.name, edged(identifier.form), accept)


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})"
_DOMAIN = rf"(?:{_LABEL}\.){{1,6}}[A-Za-z]{{2,24}}(?![A-Za-z0-9-])"
_WORLD_DOMAIN = (
    r"(?:[^\W_][\w-]{0,62}\.){1,6}(?:[A-Za-z]{2,24}(?![A-Za-z0-9-])|[^\W\d_A-Za-z]{2,24})"
)
# Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari: scripts with spaces between words.
_SPACED = r"\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff\u0590-\u06ff\u0900-\u097f"
_LOCAL = rf"(?<![A-Za-z0-9._%+'{_SPACED}-])[A-Za-z0-9._%+'{_SPACED}-]{{1,64}}"
_OTHER_LOCAL = r"[^\x00-\x7f\s\uff0c\u3002\u3001\uff1a\uff1b\uff08\uff09\u300c\u300d]{1,64}"
_PHONE_WORDS = (
    r"phone|telephone|tel(?:\.|:| )|mobile|cell|call(?: me)?(?: at| on)?|fax|whatsapp"
    r"|telefon\w{0,6}(?: num\w{0,6})?|handy(?:nummer)?|rufnummer|téléphone|portable|teléfono|móvil"
    r"|celular|telefone|telemóvel|telefono|cellulare|telefoon(?:nummer)?|mobiel|puhelin|telefonnummer|tlf"
    r"|komórka|numer"
    r"|τηλέφωνο|κινητό|телефон\w*|тел|моб|טלפון|נייד|هاتف|جوال|الهاتف|फ़ोन|फोन|मोबाइल"
    r"|โทร(?:ศัพท์)?|điện thoại|telp|电话|手机|電話(?:番号)?|致[電电]|手機|携帯"
    r"|전화(?:번호)?|휴대폰|연락처"
)
_CREDENTIAL_WORDS = (
    r"password|passwd|passphrase|pass(?= ?[:=])|pwd"
    r"|secret(?:[_ ]?(?:access)?[_ ]?key)?|api[_ -]?key"
    r"|access[_ -]?token|auth[_ -]?token|client[_ -]?secret|passwort|kennwort|mot de passe"
    r"|contraseña|senha|hasło|пароль|密码|パスワード|비밀번호"
)
_TOKENS = (
    r"lp_[a-z2-7]{16}_[a-z2-7]{52}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}"
    r"|glpat-[\w-]{20,64}|xox[abeoprs]-[\w-]{10,250}|(?:sk|rk|pk)_(?:live|test)_\w{16,255}"
    r"|sk-(?:ant-|proj-)?[\w-]{20,255}|AIza[\w-]{35}|npm_[A-Za-z0-9]{36}"
    r"|hf_[A-Za-z0-9]{30,64}|pypi-[\w-]{50,255}|SG\.[\w-]{16,64}\.[\w-]{16,128}"
    r"|ya29\.[\w-]{20,255}|ABSK[A-Za-z0-9+/]{60,200}={0,2}"
)
_KEY_BLOCK = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----)[\s\S])*"
    r"(?:-----END [A-Z ]{0,30}-----)?"
)

SECRETS = (
    Detector("PRIVATE_KEY", _KEY_BLOCK),
    Detector("JWT", edged(r"eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*"), _jwt),
    Detector("TOKEN", edged(_TOKENS)),
    Detector("AWS_KEY", edged(r"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}")),
    Detector("CREDENTIAL", r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])", _random),
    Detector(
        "CREDENTIAL",
        rf"(?:{_CREDENTIAL_WORDS})[\"']?(?: (?:is|ist|est|es|è))? ?[:=\uff1aは是]"
        r" ?[\"']?(?!<[A-Z_]+:)([^\s\"',;]{6,128})",
        group=1,
    ),
    Detector(
        "CREDENTIAL",
        rf"(?:{_CREDENTIAL_WORDS})[ _\w]{{0,12}} (?:is|ist|lautet|est|es|è|é|to) [\"']?"
        r"(?!<[A-Z_]+:)([^\s\"',;]{6,128})",
        _with_digit,
        group=1,
    ),
    Detector(
        "CREDENTIAL",
        r"(?<![\w-])(?:-u|--user)[ =][\"']?[^\s:]{1,64}:(?!<[A-Z_]+:)(\S{4,128})",
        group=1,
    ),
    Detector("CREDENTIAL", r"authorization: ?(?:bearer|basic) ([\w.~+/=-]{8,2000})", group=1),
    Detector("CREDENTIAL", r"[a-z][a-z0-9+.-]{1,15}://[^\s/:@]{1,64}:([^\s/@]{1,128})@", group=1),
)

ACCOUNTS = (
    Detector("IBAN", r"(?<![0-9A-Za-z])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", _iban),
    Detector("IBAN", r"(?<![0-9A-Za-z])[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,30}", _iban),
    Detector("CARD", edged(r"(?:[3456]\d|2[2-7])\d{2}(?:[ -]?\d){9,15}"), _card),
)

CONTACTS = (
    Detector("EMAIL", rf"{_LOCAL}@{_DOMAIN}"),
    Detector("EMAIL", rf"{_LOCAL}@{_WORLD_DOMAIN}"),
    Detector("EMAIL", rf"{_OTHER_LOCAL}@{_WORLD_DOMAIN}"),
    Detector(
        "EMAIL",
        r"(?<![\w.])[\w.+-]{1,64} ?[\[(](?:at|@)[\])] ?"
        rf"(?:{_LABEL} ?(?:[\[(](?:dot|\.)[\])]|\.) ?){{1,4}}[A-Za-z]{{2,24}}",
    ),
    Detector(
        "EMAIL",
        r"(?<![\w.])[\w-]{1,40}(?: dot [\w-]{1,40}){0,3} at [\w-]{1,40}(?: dot [\w-]{2,24}){1,3}",
    ),
    Detector("PHONE", r"(?<![0-9A-Za-z+])\+ ?[1-9](?:[ ./()-]{0,3}\d){7,14}(?!\d)"),
    Detector("PHONE", r"(?<![0-9A-Za-z+])00[1-9](?:[ ./()-]{0,2}\d){8,13}(?!\d)"),
    Detector(
        "PHONE",
        edged(r"1?[ .-]?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"),
    ),
    Detector("PHONE", after(_PHONE_WORDS, r"[+(]?\d(?:[ ./()-]{0,2}\d){6,14}(?!\d)"), group=1),
    Detector(
        "PHONE",
        edged(
            # Quantities do not begin with 0, and what looks like a date first is one.
            r"(?!\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?!\d))0[ (]{0,2}\d(?:[ ./()-]{0,2}\d){7,11}"
            r"|0\d(?:[ .-]\d{2}){4}|1[3-9]\d{9}|8[ -]?\(?9\d{2}\)?[ -]?\d{3}[ -]?\d{2}[ -]?\d{2}"
            r"|[5-9]\d{2} \d{3} \d{3}|[6-9]\d{4} \d{5}"
        ),
        _phone,
    ),
)

NETWORK = (
    Detector(
        "IP_ADDRESS",
        r"(?<![0-9A-Za-z.])(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z]|\.\d)",
        _ip_address,
    ),
    Detector(
        "IP_ADDRESS",
        r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{0,4}:){2,7}"
        r"(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![0-9A-Za-z:])",
        _ip_address,
    ),
    Detector(
        "MAC_ADDRESS",
        r"(?<![0-9A-Za-z:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}"
        r"(?:\1[0-9A-Fa-f]{2}){4}(?![0-9A-Za-z:-])",
        whole,
    ),
)

DETECTORS = (
    *SECRETS,
    *ACCOUNTS,
    *(_national(identifier) for identifier in NATIONAL_IDS if identifier.context),
    *CONTACTS,
    *(_national(identifier) for identifier in NATIONAL_IDS if not identifier.context),
    *NETWORK,
    *PERSONAL,
)
"""Every detector, the most specific first: of two for the same characters, the first names them."""
