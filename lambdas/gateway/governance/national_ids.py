"""National identifiers: their form, and the check digits or dates that tell them from others.

Sources: the issuers' specifications as collected by the OECD
(https://www.oecd.org/tax/automatic-exchange/crs-implementation-and-assistance/tax-identification-numbers/)
and on Wikipedia under "National identification number".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from gateway.governance.checksums import luhn, mod_11_10, verhoeff, weighted

Check = Callable[[str], bool]


@dataclass(frozen=True)
class NationalId:
    """One kind of identifier.

    ``form`` matches it with its separators. ``valid`` takes it without any; where a form alone
    would match too much, ``context`` are words of which one must stand before it.
    """

    name: str
    form: str
    valid: Check
    context: str = ""


def is_date(day: str, month: str, year: str) -> bool:
    """Return whether a date exists; a year of two digits may be in any century."""
    years = [int(year)] if len(year) == 4 else [1900 + int(year), 2000 + int(year)]
    return any(_exists(candidate, int(month), int(day)) for candidate in years)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _us_ssn(digits: str) -> bool:
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    is_itin = area[0] == "9" and group >= "50"
    is_ssn = area not in {"000", "666"} and area[0] != "9"
    return (is_ssn or is_itin) and group != "00" and serial != "0000"


def _uk_nino(text: str) -> bool:
    return text[:2] not in {"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}


def _uk_nhs(digits: str) -> bool:
    return (weighted(digits, range(10, 1, -1)) + int(digits[9])) % 11 == 0


def _es_dni(text: str) -> bool:
    number = text[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


_IT_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21),
            *(2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        ),
        strict=True,
    )
)


def _it_codice_fiscale(text: str) -> bool:
    odd = sum(_IT_ODD[character] for character in text[:15:2])
    even = sum(int(c) if c.isdigit() else ord(c) - 65 for c in text[1:15:2])
    return chr(65 + (odd + even) % 26) == text[15]


def _fr_nir(text: str) -> bool:
    number = text[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(text[13:])


def _de_tax_id(digits: str) -> bool:
    counts = [digits[:10].count(digit) for digit in set(digits[:10])]
    repeated = [count for count in counts if count > 1]
    return len(repeated) == 1 and repeated[0] <= 3 and mod_11_10(digits)


def _nl_bsn(digits: str) -> bool:
    return weighted(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 == 0


def _be_number(digits: str) -> bool:
    numbers = [int(digits[:9]), int("2" + digits[:9])]
    dated = is_date(digits[4:6], digits[2:4], digits[:2])
    return dated and any(97 - number % 97 == int(digits[9:]) for number in numbers)


def _pl_pesel(digits: str) -> bool:
    month = str((int(digits[2:4]) - 1) % 20 + 1)
    total = weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1])
    return total % 10 == 0 and is_date(digits[4:6], month, digits[:2])


def _se_personnummer(digits: str) -> bool:
    short = digits[-10:]
    day = str((int(short[4:6]) - 1) % 60 + 1)
    return is_date(day, short[2:4], short[:2]) and luhn(short)


def _fi_hetu(text: str) -> bool:
    number = int(text[:6] + text[-4:-1])
    dated = is_date(text[:2], text[2:4], text[4:6])
    return dated and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == text[-1]


def _no_number(digits: str) -> bool:
    day = str((int(digits[:2]) - 1) % 40 + 1)
    first = weighted(digits, [3, 7, 6, 1, 8, 9, 4, 5, 2, 1])
    second = weighted(digits, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1])
    return first % 11 == second % 11 == 0 and is_date(day, digits[2:4], digits[4:6])


def _dated_first(digits: str) -> bool:
    return is_date(digits[:2], digits[2:4], digits[4:6])


def _pt_nif(digits: str) -> bool:
    check = 11 - weighted(digits, range(9, 1, -1)) % 11
    return (0 if check > 9 else check) == int(digits[8])


def _br_cpf(digits: str) -> bool:
    checks = [weighted(digits, range(length + 1, 1, -1)) * 10 % 11 % 10 for length in (9, 10)]
    # Eleven equal digits hold arithmetically and are never issued.
    return len(set(digits)) > 1 and checks == [int(digits[9]), int(digits[10])]


def _cl_rut(text: str) -> bool:
    total = sum(int(d) * (2 + place % 6) for place, d in enumerate(reversed(text[:-1])))
    return "0123456789K0"[11 - total % 11] == text[-1].upper()


def _ar_cuit(digits: str) -> bool:
    check = 11 - weighted(digits, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
    return {11: 0, 10: 9}.get(check, check) == int(digits[10])


def _mx_curp(text: str) -> bool:
    alphabet = "0123456789ABCDEFGHIJKLMN\u00d1OPQRSTUVWXYZ"
    total = sum(alphabet.index(c) * (18 - place) for place, c in enumerate(text[:17]))
    return is_date(text[8:10], text[6:8], text[4:6]) and -total % 10 == int(text[17])


def _anything(_: str) -> bool:
    return True


def _cn_resident(text: str) -> bool:
    total = weighted(text[:17], [2 ** (17 - place) % 11 for place in range(17)])
    dated = is_date(text[12:14], text[10:12], text[6:10])
    return dated and "10X98765432"[total % 11] == text[17].upper()


def _kr_rrn(digits: str) -> bool:
    return is_date(digits[4:6], digits[2:4], digits[:2])


def _jp_my_number(digits: str) -> bool:
    rest = weighted(digits, [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11
    return (0 if rest <= 1 else 11 - rest) == int(digits[11])


def _tw_id(text: str) -> bool:
    letter = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0]) + 10
    return (letter // 10 + weighted(f"{letter % 10}{text[1:]}", [9, 8, 7, 6, 5, 4, 3, 2, 1, 1])) % (
        10
    ) == 0


def _hk_id(text: str) -> bool:
    padded = text.rjust(9)
    values = [36 if c == " " else int(c, 36) for c in padded[:8]]
    total = sum(value * (9 - place) for place, value in enumerate(values))
    return (total + int(padded[8], 11)) % 11 == 0


def _sg_nric(text: str) -> bool:
    total = weighted(text[1:8], [2, 7, 6, 5, 4, 3, 2])
    offset = {"S": 0, "T": 4, "F": 0, "G": 4, "M": 3}[text[0]]
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}
    return letters.get(text[0], "XWUTRQPNMLK")[(total + offset) % 11] == text[8]


def _th_id(digits: str) -> bool:
    return (11 - weighted(digits, range(13, 1, -1)) % 11) % 10 == int(digits[12])


def _tr_kimlik(digits: str) -> bool:
    values = [int(digit) for digit in digits]
    tenth = (sum(values[:9:2]) * 7 - sum(values[1:8:2])) % 10
    return values[9] == tenth and values[10] == sum(values[:10]) % 10


def _za_id(digits: str) -> bool:
    return is_date(digits[4:6], digits[2:4], digits[:2]) and luhn(digits)


def _au_tfn(digits: str) -> bool:
    return weighted(digits, [1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 == 0


def _ro_cnp(digits: str) -> bool:
    check = weighted(digits, [2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11
    dated = is_date(digits[5:7], digits[3:5], digits[1:3])
    return dated and (1 if check == 10 else check) == int(digits[12])


def _bg_egn(digits: str) -> bool:
    month = str((int(digits[2:4]) - 1) % 20 + 1)
    check = weighted(digits, [2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10
    return is_date(digits[4:6], month, digits[:2]) and check == int(digits[9])


def _ru_snils(digits: str) -> bool:
    return weighted(digits, range(9, 0, -1)) % 101 % 100 == int(digits[9:])


def _ru_inn(digits: str) -> bool:
    first = weighted(digits, [7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10
    second = weighted(digits, [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10
    return (first, second) == (int(digits[10]), int(digits[11]))


def _cz_rodne_cislo(digits: str) -> bool:
    month = int(digits[2:4]) % 50
    month = month - 20 if month > 20 else month
    held = int(digits[:9]) % 11 % 10 == int(digits[9])
    return held and is_date(digits[4:6], str(month), digits[:2])


def _ch_ahv(digits: str) -> bool:
    return weighted(digits, [1, 3] * 6 + [1]) % 10 == 0


def _gr_amka(digits: str) -> bool:
    return _dated_first(digits) and luhn(digits)


def _ie_pps(text: str) -> bool:
    extra = ord(text[8]) - 64 if len(text) == 9 and text[8] != "W" else 0
    total = weighted(text[:7], range(8, 1, -1)) + 9 * extra
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == text[7]


NATIONAL_IDS = (
    NationalId("US_SSN", r"\d{3}([- ])\d{2}\1\d{4}", _us_ssn),
    NationalId("US_SSN", r"\d{9}", _us_ssn, r"SSN|social security|ITIN"),
    NationalId(
        "UK_NINO",
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        _uk_nino,
    ),
    NationalId("UK_NHS", r"\d{3}([ -])\d{3}\1\d{4}", _uk_nhs),
    NationalId("UK_NHS", r"\d{3}[ -]?\d{3}[ -]?\d{4}", _uk_nhs, r"NHS"),
    NationalId("ES_DNI", r"(?:\d{8}|\d{1,2}\.\d{3}\.\d{3}|[XYZ]-?\d{7})-?[A-Z]", _es_dni),
    NationalId(
        "IT_CODICE_FISCALE",
        r"[A-Z]{6}[\dLMNP-V]{2}[A-EHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]",
        _it_codice_fiscale,
    ),
    NationalId(
        "FR_NIR",
        r"[1278] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
        _fr_nir,
    ),
    NationalId("DE_TAX_ID", r"[1-9]\d ?\d{3} ?\d{3} ?\d{3}", _de_tax_id),
    NationalId("NL_BSN", r"\d{9}", _nl_bsn, r"BSN|burgerservicenummer|sofinummer"),
    NationalId("BE_NUMBER", r"\d{2}\.?\d{2}\.?\d{2}[- ]?\d{3}\.?\d{2}", _be_number),
    NationalId("PL_PESEL", r"\d{11}", _pl_pesel),
    NationalId("SE_PERSONNUMMER", r"(?:19|20)?\d{6}[-+]?\d{4}", _se_personnummer),
    NationalId("FI_HETU", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _fi_hetu),
    NationalId("NO_NUMBER", r"\d{6} ?\d{5}", _no_number),
    NationalId("DK_CPR", r"\d{6}-\d{4}", _dated_first),
    NationalId("DK_CPR", r"\d{10}", _dated_first, r"CPR|personnummer"),
    NationalId("PT_NIF", r"\d{3} ?\d{3} ?\d{3}", _pt_nif, r"NIF|contribuinte"),
    NationalId("BR_CPF", r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}", _br_cpf),
    NationalId("CL_RUT", r"\d{1,2}\.?\d{3}\.?\d{3}-[\dkK]", _cl_rut),
    NationalId("AR_CUIT", r"(?:2[03-7]|3[034])-?\d{8}-?\d", _ar_cuit),
    NationalId("MX_CURP", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d", _mx_curp),
    NationalId("IN_AADHAAR", r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", verhoeff),
    NationalId("IN_PAN", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", _anything),
    NationalId("CN_RESIDENT", r"[1-9]\d{16}[\dXx]", _cn_resident),
    NationalId("KR_RRN", r"\d{6}-[1-8]\d{6}", _kr_rrn),
    NationalId("JP_MY_NUMBER", r"\d{4}([ -])\d{4}\1\d{4}", _jp_my_number),
    NationalId("JP_MY_NUMBER", r"\d{12}", _jp_my_number, r"マイナンバー|個人番号|my ?number"),
    NationalId("TW_ID", r"[A-Z][1289]\d{8}", _tw_id),
    NationalId("HK_ID", r"[A-Z]{1,2}\d{6} ?\([\dA]\)", _hk_id),
    NationalId("SG_NRIC", r"[STFGM]\d{7}[A-Z]", _sg_nric),
    NationalId("TH_ID", r"[1-8](-?)\d{4}\1\d{5}\1\d{2}\1\d", _th_id),
    NationalId("TR_KIMLIK", r"[1-9]\d{10}", _tr_kimlik),
    NationalId("IL_ID", r"\d{9}", luhn, r'ת"ז|ת״ז|תעודת זהות|teudat zehut'),
    NationalId("ZA_ID", r"\d{6} ?\d{4} ?\d{3}", _za_id),
    NationalId("AU_TFN", r"\d{3} ?\d{3} ?\d{3}", _au_tfn, r"TFN|tax file"),
    NationalId("CA_SIN", r"[1-79]\d{2}([- ])\d{3}\1\d{3}", luhn),
    NationalId("CA_SIN", r"[1-79]\d{8}", luhn, r"SIN|NAS|social insurance"),
    NationalId("RO_CNP", r"[1-9]\d{12}", _ro_cnp),
    NationalId("BG_EGN", r"\d{10}", _bg_egn),
    NationalId("BG_EGN", r"\d{10}", _bg_egn, r"ЕГН|EGN"),
    NationalId("RU_SNILS", r"\d{3}-\d{3}-\d{3}[- ]\d{2}", _ru_snils),
    NationalId("RU_INN", r"\d{12}", _ru_inn, r"ИНН|INN"),
    NationalId("CZ_RODNE_CISLO", r"\d{6}/\d{4}", _cz_rodne_cislo),
    NationalId("HR_OIB", r"\d{11}", mod_11_10, r"OIB"),
    NationalId("CH_AHV", r"756\.?\d{4}\.?\d{4}\.?\d{2}", _ch_ahv),
    NationalId("AE_EMIRATES_ID", r"784-?\d{4}-?\d{7}-?\d", luhn),
    NationalId("GR_AMKA", r"\d{11}", _gr_amka),
    NationalId("GR_AMKA", r"\d{11}", _gr_amka, r"\u0391\u039c\u039a\u0391|AMKA"),
    NationalId("IE_PPS", r"\d{7}[A-W][A-IW]?", _ie_pps),
)

_SEPARATORS = re.compile(r"[^0-9A-Za-z]")


def bare(text: str) -> str:
    """Return an identifier without separators, in upper case."""
    return _SEPARATORS.sub("", text).upper()
