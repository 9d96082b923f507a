"""Dates of birth, papers and addresses: what only the words around it tell from other text.

The words are those that people write in 25 languages; names of people are not found, for no
pattern can tell them from other words.
"""

import re

from gateway.governance.detector import Detector, after
from gateway.governance.national_ids import is_date

_NUMBERS = re.compile(r"\d+")


def _birth_date(match: re.Match[str]) -> int:
    parts = _NUMBERS.findall(match[1])
    if len(parts) < 3:
        return len(match[0])  # A month in letters; the words before it and the form suffice.
    orders = (parts, parts[::-1], [parts[1], parts[0], parts[2]])
    real = any(
        len(day) <= 2 and len(month) <= 2 and len(year) in {2, 4} and is_date(day, month, year)
        for day, month, year in orders
    )
    return len(match[0]) if real else 0


_DATE = (
    r"\d{1,4} ?[./\-年년] ?\d{1,2} ?[./\-月월] ?\d{1,4} ?[日일]?"
    r"|\d{1,2}(?:st|nd|rd|th|\.|er)? (?:de |of )?[^\W\d_]{3,12}\.?,? (?:de )?\d{4}"
    r"|[^\W\d_]{3,12}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}"
)
_BORN = (
    r"born|birth ?(?:date|day)|date of birth|d\.?o\.?b\.?|geboren|geburts(?:tag|datum)|geb\."
    r"|née?|date de naissance|nacid[oa]|nac[íi]|nacimiento|nasc(?:id[oa]|eu|i)|nascimento|nat[oa]"
    r"|data di nascita|nascita|geboortedatum|født|född|födelsedatum|fødselsdato|syntynyt"
    r"|syntymäaika|urodz\w*|ur\.|narozen\w*|narození|született|născut\w*|doğum(?: tarihi)?"
    r"|γεννήθηκ\w*|γέννησης|родил(?:ся|ась)|рождения|народ\w*|נולד\w?|תאריך לידה|ولد|الميلاد"
    r"|जन्म(?: तिथि| तारीख)?|เกิด(?:วันที่)?|ngày sinh|lahir|生年月日|誕生日|出生(?:日期|于)?|生于|生日"
    r"|생년월일|생일"
)
_PASSPORT_WORDS = (
    r"passport|reisepass(?:nummer)?|passeport|pasaporte|passaporto|passaporte|paspoort"
    r"|paszport\w*|pasaport|паспорт\w*|护照(?:号码?)?|護照|旅券(?:番号)?|パスポート(?:番号)?"
    r"|여권(?:번호)?|جواز(?: السفر)?|driving licen[cs]e|driver'?s licen[cs]e"
    r"|führerschein(?:nummer)?|permis de conduire"
)
_STREET_AFTER = (
    r"street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|square|sq|terrace"
    r"|close|crescent|way|place|pl|highway|hwy|parkway|pkwy"
)
_STREET_ENDING = (
    r"straße|strasse|str\.|weg|allee|gasse|platz|damm|ufer|straat|laan|gatan|vägen|gade|vej|katu"
    r"|tie"
)
_STREET_BEFORE = (
    r"rue|place|quai|cours|avenue|av\.|boulevard|bd|chemin|allée|impasse|calle|c/|avenida|avda\.?|paseo|plaza|rua"
    r"|travessa|via|viale|corso|piazza|ulica|ul\.|aleja|al\.|улица|ул\.|проспект|пр-т|вулиця"
    r"|вул\.|strada|bulevardul|οδός|jalan|jl\.|đường|شارع|רחוב"
)
# Small words may lead; in scripts with capitals, the name itself begins with one.
_STREET_NAME = (
    r"(?:(?:d[eaio]|d[eao]s|du|del|dell[ao]|dei|l[ao]|l[ao]s|el) ){0,2}"
    r"(?:[A-ZÀ-Þ]|[^\x00-\u024f\s])"
)
_TOWN = r"[A-ZÄÖÜ][\wäöüß-]{1,30}"
_US_TOWN = r"(?:,? [A-Z][A-Za-z]{1,20}(?: [A-Z][a-z]{1,20})?,? [A-Z]{2} \d{5})?"

PERSONAL = (
    Detector(
        "DATE_OF_BIRTH",
        # A place may stand between: "born in Leeds on", "né à Lyon le".
        rf"(?<!<)(?:{_BORN})[^\n\d<]{{0,32}}?(?<![0-9A-Za-z])({_DATE})",
        _birth_date,
        group=1,
    ),
    Detector(
        "DATE_OF_BIRTH",
        rf"(?<!\d)({_DATE}) ?(?:geboren|doğ\w{{1,8}}|생(?!일)|生まれ)",
        _birth_date,
        group=1,
    ),
    Detector(
        "PASSPORT",
        after(_PASSPORT_WORDS, r"[A-Z]{0,3} ?\d[A-Z0-9]{5,11}(?![0-9A-Za-z])"),
        group=1,
    ),
    Detector(
        "ADDRESS",
        r"(?<![0-9A-Za-z])\d{1,5}[A-Za-z]?,? (?:[A-Z][\w'.-]{0,24} ){1,4}"
        rf"(?i:{_STREET_AFTER})(?![A-Za-z])\.?"
        rf"(?:,? (?:(?i:apt|suite|unit|flat)\.? ?#?\w{{1,6}}))?{_US_TOWN}",
    ),
    Detector(
        "ADDRESS",
        rf"(?<![^\W\d_]){_TOWN}(?:{_STREET_ENDING}) ?\d{{1,4}} ?[a-z]?(?![0-9A-Za-z])"
        rf"(?:,? \d{{4,5}}(?: [A-Z]{{2}})? {_TOWN})?",
    ),
    Detector(
        "ADDRESS",
        rf"(?<![^\W_])\d{{1,4}}(?: bis| ter)?,? (?i:{_STREET_BEFORE}) [^\n,;.]{{3,40}}"
        r"(?:, ?\d{5} [^\W\d_][\w-]{1,30})?",
    ),
    Detector(
        "ADDRESS",
        rf"(?<![^\W_])(?i:{_STREET_BEFORE}) {_STREET_NAME}[^\n;0-9]{{2,40}}?,? ?"
        r"(?:n[º°o.]{0,2} ?|д\. ?|буд\. ?|No\. ?)?\d{1,4}[A-Za-z]?(?![0-9A-Za-z])(?:/\d{1,4})?",
    ),
    Detector(
        "ADDRESS",
        # Any name of a street, told by the number, the postcode and the town after it.
        rf"(?<![^\W\d_]){_TOWN}(?: {_TOWN}){{0,3}} \d{{1,4}}[a-z]?, ?"
        rf"(?:[A-Z]{{1,2}}-)?\d{{4,5}} {_TOWN}",
    ),
    Detector(
        "ADDRESS",
        rf"(?i:p\.? ?o\.? box|postfach|boîte postale|apartado) \d{{1,6}}{_US_TOWN}",
    ),
    Detector(
        "ADDRESS",
        r"(?:(?:Flat|Unit|Apt|Apartment|Suite) \w{1,5},? )?\d{1,4}[A-Za-z]? [A-Z][\w' -]{2,40}"
        r"(?:, [A-Z][\w' -]{2,30}){0,2},? [A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}(?![0-9A-Za-z])",
    ),
    Detector(
        "ADDRESS",
        r"[\u4e00-\u9fff]{2,10}(?:市|区|區)[\u3040-\u30ff\u4e00-\u9fff]{1,12}\d{1,3}(?:丁目|-)\d{1,3}"
        r"(?:[-番号]\d{0,4}){0,3}",
    ),
    Detector("ADDRESS", r"〒 ?\d{3}-\d{4}[^\n。]{0,40}"),
    Detector(
        "ADDRESS",
        r"[\u4e00-\u9fff]{2,8}(?:市|区|區|県|府|都|省)[\u3040-\u30ff\u4e00-\u9fff]{1,20}?"
        r"(?:路|街|道|町|丁目|巷|弄)[\u4e00-\u9fff]{0,4}\d{1,5}(?:[-号號番之]\d{0,4}){0,3}",
    ),
    Detector(
        "ADDRESS",
        r"[\uac00-\ud7a3]{1,10}(?:시|도|구|군)(?: [\uac00-\ud7a3]{1,10}(?:시|구|군)){0,2}"
        r" [\uac00-\ud7a30-9]{1,15}(?:로|길) ?\d{1,4}(?:-\d{1,4})?",
    ),
)
