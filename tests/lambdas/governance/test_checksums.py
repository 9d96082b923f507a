"""Check digits against specimens that the issuers or their documentation publish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.governance.checksums import luhn, mod_11_10, mod_97, verhoeff
from gateway.governance.national_ids import NATIONAL_IDS, bare, is_date

DIGITS = st.text(alphabet="0123456789", min_size=2, max_size=18)

SPECIMENS = {
    "US_SSN": "123-45-6789",
    "UK_NINO": "AB 12 34 56 C",
    "UK_NHS": "943 476 5919",
    "ES_DNI": "12345678Z",
    "IT_CODICE_FISCALE": "RSSMRA85T10A562S",
    "FR_NIR": "2 55 08 14 168 025 38",
    "DE_TAX_ID": "47 036 892 816",
    "NL_BSN": "111222333",
    "BE_NUMBER": "85.07.30-033.28",
    "PL_PESEL": "44051401359",
    "SE_PERSONNUMMER": "811228-9874",
    "FI_HETU": "131052-308T",
    "NO_NUMBER": "15108695088",
    "PT_NIF": "501964843",
    "BR_CPF": "111.444.777-35",
    "CL_RUT": "12.345.678-5",
    "AR_CUIT": "20-05536168-2",
    "MX_CURP": "BOXW310820HNERXN09",
    "IN_AADHAAR": "2341 2341 2346",
    "CN_RESIDENT": "11010519491231002X",
    "JP_MY_NUMBER": "1234 5678 9018",
    "TW_ID": "A123456789",
    "HK_ID": "A123456(3)",
    "SG_NRIC": "S1234567D",
    "TH_ID": "1-2345-45678-78-1",
    "TR_KIMLIK": "17291716060",
    "IL_ID": "039337423",
    "ZA_ID": "7503305044089",
    "AU_TFN": "123 456 782",
    "CA_SIN": "123-456-782",
    "RO_CNP": "1630615123457",
    "BG_EGN": "7523169263",
    "RU_SNILS": "112-233-445 95",
    "RU_INN": "500100732259",
    "CZ_RODNE_CISLO": "710319/2745",
    "HR_OIB": "33392005961",
    "CH_AHV": "756.9217.0769.85",
    "GR_AMKA": "01013099997",
    "IE_PPS": "6433435F",
}

FORM_ONLY = {"US_SSN", "UK_NINO", "DK_CPR", "KR_RRN", "IN_PAN"}
"""Identifiers without check digits: a changed digit may be another person's."""


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_published_specimen_holds(name: str) -> None:
    rows = [identifier for identifier in NATIONAL_IDS if identifier.name == name]
    assert rows
    assert all(row.valid(bare(SPECIMENS[name])) for row in rows)


@pytest.mark.parametrize("name", sorted(set(SPECIMENS) - FORM_ONLY))
def test_a_specimen_with_its_last_character_changed_does_not_hold(name: str) -> None:
    row = next(identifier for identifier in NATIONAL_IDS if identifier.name == name)
    number = bare(SPECIMENS[name])
    others = "0123456789" if number[-1].isdigit() else "ABCDEFGHJKLMNPQRSTVWXYZ"
    wrong = [number[:-1] + other for other in others if other != number[-1]]
    assert not [candidate for candidate in wrong if row.valid(candidate)]


@pytest.mark.parametrize("name", sorted({identifier.name for identifier in NATIONAL_IDS}))
def test_every_identifier_of_the_table_is_in_the_corpus(name: str) -> None:
    from tests.lambdas.governance.samples import positives

    assert [sample for sample in positives() if sample.kind == name]


@given(digits=DIGITS, place=st.integers(min_value=0), change=st.integers(1, 9))
def test_luhn_and_verhoeff_notice_every_single_wrong_digit(
    digits: str, place: int, change: int
) -> None:
    place %= len(digits)
    wrong = digits[:place] + str((int(digits[place]) + change) % 10) + digits[place + 1 :]
    for holds in (luhn, verhoeff):
        assert not (holds(digits) and holds(wrong))


@given(DIGITS)
def test_every_number_has_exactly_one_check_digit(digits: str) -> None:
    for holds in (luhn, verhoeff, mod_11_10):
        assert sum(holds(f"{digits}{check}") for check in range(10)) == 1


def test_cards_and_accounts_of_the_standards_hold() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert mod_97("WEST12345698765432" + "GB82")
    assert not mod_97("WEST12345698765432" + "GB83")


def test_dates_are_those_of_the_calendar() -> None:
    assert is_date("29", "02", "2000")
    assert is_date("29", "2", "04")
    assert not is_date("30", "02", "2000")
    assert not is_date("01", "13", "1990")
    assert not is_date("00", "01", "1990")
