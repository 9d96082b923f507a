"""Writes the corpus of personal data: run it as a script, ``python generate.py``.

All values are made up from a fixed seed: numbers are random with check digits that hold, domains
and telephone ranges are those reserved for documentation where a country has them, streets and
dates are picked from lists. No value belongs to a person. The sentences are what people write to an
assistant, in 25 languages; they were written before the patterns were tried on them.

Each line of ``positives.jsonl`` has a ``sentence`` with a gap ``{}`` and the ``value`` for it in
pieces, so that no scanner for leaked credentials takes a made-up one for a real one.
"""
# ruff: noqa: RUF001 - letters of other scripts that look like Latin ones are what this is about

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.governance.checksums import mod_97
from gateway.governance.national_ids import NATIONAL_IDS, bare

HERE = Path(__file__).parent
SEED = 20261122

Sample = dict[str, Any]

EMAIL = {
    "en": ("Please forward it to {} before noon.", "alice.brown"),
    "de": ("Schreiben Sie mir bitte an {}, danke.", "jürgen.müller"),
    "fr": ("Mon adresse est {}; répondez vite !", "hélène-dupont"),
    "es": ("Mi correo es {}.", "josé.garcía"),
    "it": ("Scrivimi a {} quando puoi", "luca_rossi"),
    "pt": ("O meu e-mail: {}", "joão+compras"),
    "nl": ("Mail naar {} alsjeblieft", "sanne.de.vries"),
    "pl": ("Mój adres to {} (służbowy).", "łukasz.nowak"),
    "sv": ("Nå mig på {}.", "åsa.lind"),
    "ru": ("Пишите на {}, пожалуйста.", "иван.петров"),
    "el": ("Το email μου είναι {}", "γιώργος.νικολάου"),
    "tr": ("Bana {} adresinden ulaşın.", "ayşe.yılmaz"),
    "he": ("האימייל שלי הוא {}", "dana.levi"),
    "ar": ("بريدي الإلكتروني {} شكرا", "fatima.ali"),
    "hi": ("मेरा ईमेल {} है", "ravi.kumar"),
    "th": ("อีเมลของฉันคือ{}ค่ะ", "somchai.j"),
    "vi": ("Email của tôi là {} nhé", "minh.tran"),
    "id": ("Kirim ke {} ya", "budi.santoso"),
    "zh": ("我的邮箱是{}，谢谢", "li.wei"),
    "ja": ("メールは{}までお願いします", "tanaka.k"),
    "ko": ("제 이메일은 {}입니다", "kim.minsu"),
}

PHONE = {
    "en": ("Call me at {} after six.", "+44 20 7946 0{3}"),
    "en-US": ("You can reach me on {} any time", "({area}) 555-01{2}"),
    "de": ("Meine Handynummer lautet {}.", "0170 {7}"),
    "de-AT": ("Rückruf bitte unter {}", "+43 664 {7}"),
    "fr": ("Mon portable : {}", "06 {2} {2} {2} {2}"),
    "es": ("Mi teléfono es {}", "6{2} {3} {3}"),
    "it": ("Il mio cellulare è {}", "34{1} {3} {4}"),
    "pt": ("O meu telemóvel é {}", "91{1} {3} {3}"),
    "pt-BR": ("Meu celular: {}", "(11) 9{4}-{4}"),
    "nl": ("Mijn mobiel is {}", "06-{8}"),
    "pl": ("Numer telefonu: {}", "5{2} {3} {3}"),
    "sv": ("Ring mig på {}", "+46 70 {3} {2} {2}"),
    "ru": ("Мой телефон {}", "8 (9{2}) {3}-{2}-{2}"),
    "uk": ("Телефонуйте: {}", "+380 67 {3} {2} {2}"),
    "el": ("Το κινητό μου: {}", "69{1} {3} {4}"),
    "tr": ("Telefon numaram {}", "0532 {3} {2} {2}"),
    "he": ("הטלפון שלי {}", "05{1}-{7}"),
    "ar": ("رقم هاتفي: {}", "05{8}"),
    "hi": ("मेरा मोबाइल नंबर {} है", "9{4} {5}"),
    "th": ("โทรศัพท์ {}", "08{1}-{3}-{4}"),
    "vi": ("Số điện thoại: {}", "09{2} {3} {3}"),
    "id": ("Telp: {}", "0812-{4}-{4}"),
    "zh": ("我的手机是{}", "138{8}"),
    "zh-TW": ("我的電話是{}", "09{2}-{3}-{3}"),
    "ja": ("携帯は{}です", "090-{4}-{4}"),
    "ko": ("연락처는 {}입니다", "010-{4}-{4}"),
}

BIRTH = {
    "en": ("I was born on {}.", "{day} March {year}"),
    "en-US": ("Date of birth: {}", "0{m}/{dd}/{year}"),
    "de": ("Ich bin am {} geboren; geboren am {}", "{dd}.0{m}.{year}"),
    "fr": ("Je suis née le {}", "{day} mars {year}"),
    "es": ("Fecha de nacimiento: {}", "{dd}/0{m}/{year}"),
    "it": ("Sono nato il {}", "{day} maggio {year}"),
    "pt": ("Nasci, data de nascimento {}", "{dd}/0{m}/{year}"),
    "nl": ("Geboortedatum: {}", "{dd}-0{m}-{year}"),
    "pl": ("Urodzony: {}", "{dd}.0{m}.{year}"),
    "sv": ("Jag är född {}", "{year}-0{m}-{dd}"),
    "ru": ("Дата рождения: {}", "{dd}.0{m}.{year}"),
    "el": ("Ημερομηνία γέννησης: {}", "{dd}/0{m}/{year}"),
    "tr": ("Doğum tarihi: {}", "{dd}.0{m}.{year}"),
    "he": ("תאריך לידה: {}", "{dd}/0{m}/{year}"),
    "ar": ("تاريخ الميلاد: {}", "{dd}/0{m}/{year}"),
    "hi": ("जन्म तिथि: {}", "{dd}-0{m}-{year}"),
    "zh": ("出生日期：{}", "{year}年{m}月{dd}日"),
    "ja": ("生年月日は{}です", "{year}年{m}月{dd}日"),
    "ko": ("생년월일: {}", "{year}년 {m}월 {dd}일"),
    "id": ("Saya lahir {}", "{dd}-0{m}-{year}"),
    "vi": ("Ngày sinh: {}", "{dd}/0{m}/{year}"),
    "cs": ("Datum narození: {}", "{dd}. 0{m}. {year}"),
}

ADDRESS = {
    "en": ("Send it to {}, please.", ["12 Maple Street", "221B Baker Street", "7 Old Mill Lane"]),
    "en-US": ("I live at {}", ["1600 Pine Avenue, Springfield, IL 62701", "42 Oak Blvd Apt 5"]),
    "de": ("Meine Anschrift: {}", ["Hauptstraße 5, 10115 Berlin", "Lindenweg 12a"]),
    "fr": ("J'habite {}", ["12 rue des Lilas, 75011 Paris", "3 bis avenue Victor Hugo"]),
    "es": ("Vivo en {}", ["Calle Mayor 14", "Avenida del Sol 3"]),
    "it": ("Abito in {}", ["Via Garibaldi 21", "Piazza Dante, 4"]),
    "pt": ("Moro na {}", ["Rua das Flores, 123", "Avenida Central 45"]),
    "nl": ("Ik woon op {}", ["Kerkstraat 8", "Dorpsstraat 112"]),
    "pl": ("Mieszkam: {}", ["ul. Polna 7", "ul. Długa 15/3"]),
    "sv": ("Jag bor på {}", ["Storgatan 3", "Kungsvägen 18"]),
    "ru": ("Мой адрес: {}", ["улица Ленина, д. 5", "ул. Садовая 12"]),
    "zh": ("我住在{}", ["北京市朝阳区建国路88号", "上海市静安区南京路100号"]),
    "ja": ("住所は{}です", ["東京都新宿区西新宿町2-8-1", "〒150-0002 東京都渋谷区渋谷1-2-3"]),
    "ko": ("주소는 {}입니다", ["서울시 강남구 테헤란로 152", "부산광역시 해운대구 해운대로 570"]),
}

PASSPORT = {
    "en": ("My passport number is {}.", "5{8}"),
    "de": ("Reisepass: {}", "C0{1}X{5}"),
    "fr": ("Passeport n° {}", "{2}AB{5}"),
    "es": ("Pasaporte: {}", "XAA{6}"),
    "it": ("Passaporto {}", "YA{7}"),
    "ru": ("Паспорт: {}", "{9}"),
    "zh": ("护照号码：{}", "E{8}"),
    "ja": ("パスポート番号は{}", "TK{7}"),
    "ko": ("여권번호: {}", "M{8}"),
    "pl": ("Numer paszportu: {}", "AT{7}"),
}

NATIONAL = {
    "US_SSN": ("en-US", "My SSN is {}, keep it safe.", "{3}-{2}-{4}"),
    "UK_NINO": ("en", "NI number {}", "JG {2} {2} {2} C"),
    "UK_NHS": ("en", "NHS number {}", "{3} {3} {4}"),
    "ES_DNI": ("es", "Mi DNI es {}", "{8}L"),
    "IT_CODICE_FISCALE": ("it", "Codice fiscale {}", "LLLLLL{2}A{2}H{3}L"),
    "FR_NIR": ("fr", "Mon numéro de sécurité sociale : {}", "2 {2} 08 14 {3} {3} {2}"),
    "DE_TAX_ID": ("de", "Steuer-ID {}", "{2} {3} {3} {3}"),
    "NL_BSN": ("nl", "Mijn BSN is {}", "{9}"),
    "BE_NUMBER": ("nl-BE", "Rijksregisternummer {}", "85.07.30-{3}.{2}"),
    "PL_PESEL": ("pl", "PESEL: {}", "8505{2}{5}"),
    "SE_PERSONNUMMER": ("sv", "Personnummer {}", "850512-{4}"),
    "FI_HETU": ("fi", "Henkilötunnus {}", "120585-{3}L"),
    "NO_NUMBER": ("no", "Fødselsnummer {}", "120585{5}"),
    "DK_CPR": ("da", "CPR-nummer {}", "120585-{4}"),
    "PT_NIF": ("pt", "O meu NIF é {}", "{9}"),
    "BR_CPF": ("pt-BR", "Meu CPF: {}", "{3}.{3}.{3}-{2}"),
    "CL_RUT": ("es-CL", "Mi RUT es {}", "1{1}.{3}.{3}-{1}"),
    "AR_CUIT": ("es-AR", "CUIT {}", "20-{8}-{1}"),
    "MX_CURP": ("es-MX", "CURP: {}", "LLLL850512HDFLLL0{1}"),
    "IN_AADHAAR": ("hi", "मेरा आधार {} है", "5{3} {4} {4}"),
    "IN_PAN": ("en-IN", "PAN {}", "LLLPL{4}L"),
    "CN_RESIDENT": ("zh", "身份证号{}", "11010119850512{4}"),
    "KR_RRN": ("ko", "주민등록번호 {}", "850512-1{6}"),
    "JP_MY_NUMBER": ("ja", "マイナンバーは{}です", "{12}"),
    "TW_ID": ("zh-TW", "身分證字號{}", "A1{8}"),
    "HK_ID": ("zh-HK", "身份證號碼 {}", "G{6}({1})"),
    "SG_NRIC": ("en-SG", "NRIC {}", "S{7}L"),
    "TH_ID": ("th", "เลขบัตรประชาชน {}", "1-{4}-{5}-{2}-{1}"),
    "TR_KIMLIK": ("tr", "TC kimlik no {}", "1{10}"),
    "IL_ID": ("he", "תעודת זהות {}", "{9}"),
    "ZA_ID": ("en-ZA", "ID number {}", "850512{7}"),
    "AU_TFN": ("en-AU", "My TFN is {}", "{3} {3} {3}"),
    "CA_SIN": ("en-CA", "SIN: {}", "5{2}-{3}-{3}"),
    "RO_CNP": ("ro", "CNP-ul meu este {}", "1850512{6}"),
    "BG_EGN": ("bg", "ЕГН {}", "850512{4}"),
    "RU_SNILS": ("ru", "СНИЛС {}", "{3}-{3}-{3} {2}"),
    "RU_INN": ("ru", "Мой ИНН {}", "{12}"),
    "CZ_RODNE_CISLO": ("cs", "Rodné číslo {}", "850512/{4}"),
    "HR_OIB": ("hr", "OIB: {}", "{11}"),
    "CH_AHV": ("de-CH", "AHV-Nummer {}", "756.{4}.{4}.{2}"),
    "AE_EMIRATES_ID": ("ar", "رقم الهوية {}", "784-1985-{7}-{1}"),
    "GR_AMKA": ("el", "ΑΜΚΑ {}", "120585{5}"),
    "IE_PPS": ("en-IE", "PPS number {}", "{7}LA"),
}

IBANS = {
    "DE": "{18}",
    "FR": "{10}L{10}{2}",
    "GB": "LLLL{14}",
    "NL": "LLLL{10}",
    "ES": "{20}",
    "IT": "L{10}{12}",
    "PL": "{24}",
    "CH": "{17}",
    "SE": "{20}",
    "NO": "{11}",
    "TR": "{22}",
    "SA": "{20}",
}

NEGATIVES = """
The meeting starts at 10:30 and ends at 12:00 in room 204.
Version 1.2.3.4 of the library fixes the bug.
We measured 3.14159265358979 in the experiment.
The commit is 9fceb02d0ae598e95dc970b74767f19372d61af8.
Order 100200300 shipped in 3 boxes.
ISBN 978-3-16-148410-0 is out of print.
The answer is 42, or 4.2e10 in other units.
Population: 1,234,567 in 1990 and 1,345,678 in 2000.
Call the function foo(1, 2, 3) with care.
Use the endpoint /v1/chat/completions for this.
The file is 104857600 bytes long.
It costs $1,299.99 plus tax.
The ratio was 16:9 in 2019.
def main(argv): return argv[0]
@dataclass and @property are decorators.
The Battle of Hastings was in 1066.
He ran 10000 metres in 27:45.
2024-05-17 was a Friday.
The train leaves at 2024-05-17T08:30:00Z.
Temperature fell from 21.5 to -3.2 degrees.
SELECT id, name FROM users WHERE id = 12345;
Chapter 12, verse 34-56.
The UUID is 123e4567-e89b-12d3-a456-426614174000.
Set max_tokens to 4096 and temperature to 0.7.
Error code 0x80070057 means a bad parameter.
RFC 2616 was replaced by RFC 9110.
127.0.0.1 is the loopback address.
::1 is the loopback address too.
The hexadecimal colour is #a1b2c3.
Pages 100-200 are missing.
Room 12, floor 3, building C.
Invoice 2024-001234 is due.
Python 3.11.9 and Node 24.19.0 are installed.
arn:aws:s3:::my-bucket/path is a resource name.
A password should be long and random.
Never share your API key with anyone.
The secret of good bread is time.
What is an e-mail address made of?
The phone rang twice and stopped.
She was born to sing.
They met on the street at night.
The street was empty.
A road less travelled.
Every avenue was explored.
The square root of 144 is 12.
One way to do it is this.
10 easy steps to a clean kitchen.
The passport of success is work.
12 angry men is a film.
Mix 250 g of flour with 3 eggs.
The GDP grew by 2.3 % in 2021 and 1.8 % in 2022.
Bring 2 litres of water per person per day.
x = 1234567890 * 2
Latitude and longitude are angles.
http://localhost:8080/health returns ok.
std::vector<int> is a template.
foo::bar::baz is a path in Rust.
10::20 is not a valid slice here.
The score was 3-2 after extra time.
Use ports 8000-8080 for the tests.
CUDA 12.4 needs driver 550.54.14.
gpt-4o-2024-08-06 is a model's name.
anthropic.claude-sonnet-4-5-20250929-v1:0 is a model's id.
The SHA-256 of the empty string begins with e3b0c44298fc1c149afbf4c8996fb924.
The base64 of hello is aGVsbG8=.
We have 1 000 000 users and 2 000 servers.
Batch 20240517-03 passed the tests.
ISO 27001 and SOC 2 are standards.
The part number is AB-1234-CD.
Flight LH 441 departs at 15:10.
Seat 14C is by the aisle.
Model X-200 replaces model X-150.
The budget is 12 500 000 for 2025.
Das Treffen beginnt um 10:30 Uhr in Raum 204.
Die Version 2.0.1 behebt den Fehler.
Im Jahr 1989 fiel die Mauer.
Der Weg ist das Ziel.
Das Paket wiegt 12,5 kg und kostet 1.299,99 Euro.
La réunion commence à 10 h 30, salle 204.
La population était de 1 234 567 habitants en 1990.
La rue était vide ce soir.
Il fait 21,5 degrés à Paris en mai.
La reunión empieza a las 10:30.
El precio es de 1.299,99 euros.
La calle estaba tranquila.
La riunione inizia alle 10:30.
Via libera al progetto nel 2024.
A reunião começa às 10h30.
De vergadering begint om half elf.
Spotkanie zaczyna się o 10:30.
Mötet börjar klockan 10.30.
Собрание начнётся в 10:30.
Население составляло 1 234 567 человек.
Η συνάντηση αρχίζει στις 10:30.
Toplantı 10:30'da başlıyor.
הפגישה מתחילה ב-10:30.
يبدأ الاجتماع الساعة 10:30.
बैठक 10:30 बजे शुरू होगी।
การประชุมเริ่มเวลา 10:30 น.
Cuộc họp bắt đầu lúc 10:30.
Rapat dimulai pukul 10.30.
会议于2024年5月17日10:30开始。
人口约为1234567人。
会議は10時30分に始まります。
2024年5月17日は金曜日です。
회의는 10시 30분에 시작합니다.
2024년 5월 17일은 금요일입니다.
价格是1299.99元，共3件。
この本は350ページあります。
서울의 인구는 약 940만 명이다.
The tolerance is 0.001 mm over 300 mm.
Kernel 6.1.0-18-amd64 was booted.
Sample 4111 was contaminated.
Table 5 lists 4000 5000 and 6000 as values.
Read lines 100 200 and 300 of the file.
The sequence 1 1 2 3 5 8 13 21 34 55 is known.
1234567890123456 is sixteen digits.
0000 0000 0000 0000 is a placeholder.
DE00 0000 0000 0000 0000 00 is not an account.
user@localhost is not routable.
Use git@ as the user name for ssh.
"""


# Written in two goes when the patterns found all of the others; they found 81 of these 114 then.
HARDER = [
    ("EMAIL", "en", "cc {} on the thread and bcc nobody", "r.o'neill@dept.example.edu"),
    ("EMAIL", "de", "(s. Signatur: {})", "b.groß@firma.example"),
    ("EMAIL", "cs", "Kontakt: {}", "žofie.dvořáková@example.cz"),
    ("EMAIL", "uk", "моя пошта {}, дякую", "olena_k@example.com.ua"),
    ("EMAIL", "ja", "返信先＝{}", "yamada-taro@example.co.jp"),
    ("EMAIL", "ar", "راسلني على {}", "omar99@example.org"),
    ("EMAIL", "en", "it's {}, all one word", "jane dot doe at example dot com"),
    ("EMAIL", "fr", "Copie à <{}>", "m.lefèvre+rh@example.fr"),
    ("PHONE", "en", "text me: {}", "+1 (415) 555-0199"),
    ("PHONE", "en", "my landline's {}", "020 7946 0958"),
    ("PHONE", "de", "erreichbar unter {}", "030/90182074"),
    ("PHONE", "de", "Tel. {}", "+49 (0)30 901820"),
    ("PHONE", "fr", "joignable au {}", "01.99.00.12.34"),
    ("PHONE", "it", "chiamami al {}", "06 6982 1234"),
    ("PHONE", "es", "llámame al {}", "912 345 678"),
    ("PHONE", "nl", "bel {}", "020-1234567"),
    ("PHONE", "pl", "zadzwoń: {}", "+48 22 123 45 67"),
    ("PHONE", "ru", "звоните {}", "8-912-345-67-89"),
    ("PHONE", "hi", "मुझे {} पर कॉल करें", "98765 43210"),
    ("PHONE", "zh", "打我电话 {}", "010-12345678"),
    ("PHONE", "ja", "TEL {}", "03-1234-5678"),
    ("PHONE", "ko", "전화주세요 {}", "02-123-4567"),
    ("PHONE", "th", "ติดต่อ {}", "02-123-4567"),
    ("PHONE", "pt-BR", "me liga: {}", "+55 21 99876-5432"),
    ("DATE_OF_BIRTH", "en", "DOB {}", "1987-03-14"),
    ("DATE_OF_BIRTH", "en", "My birthday is {}", "March 14, 1987"),
    ("DATE_OF_BIRTH", "en", "she was born in Leeds on {}", "14/03/1987"),
    ("DATE_OF_BIRTH", "de", "geb. {} in Köln", "14.3.1987"),
    ("DATE_OF_BIRTH", "fr", "né à Lyon le {}", "14/03/1987"),
    ("DATE_OF_BIRTH", "es", "nací el {}", "14 de marzo de 1987"),
    ("DATE_OF_BIRTH", "it", "nata a Roma il {}", "14/03/1987"),
    ("DATE_OF_BIRTH", "ja", "誕生日：{}", "1987/3/14"),
    ("DATE_OF_BIRTH", "ru", "родился {}", "14.03.1987"),
    ("DATE_OF_BIRTH", "th", "เกิดวันที่ {}", "14/03/2530"),
    ("ADDRESS", "en", "deliver to {}", "Flat 4, 18 Rosemary Gardens, Bristol BS1 4ZZ"),
    ("ADDRESS", "en-US", "ship: {}", "742 Evergreen Terrace"),
    ("ADDRESS", "de", "wohnhaft {}", "Am Alten Markt 7, 50667 Köln"),
    ("ADDRESS", "de-CH", "Adresse: {}", "Bahnhofstrasse 21, 8001 Zürich"),
    ("ADDRESS", "fr", "au {}", "27 boulevard de la Liberté, 59000 Lille"),
    ("ADDRESS", "es", "en la {}", "calle de Alcalá, 45, 3º B"),
    ("ADDRESS", "it", "in {}", "viale dei Mille 12"),
    ("ADDRESS", "ru", "проживаю: {}", "ул. Тверская, д. 13, кв. 8"),
    ("ADDRESS", "ja", "届け先：{}", "大阪府大阪市北区梅田3丁目1-1"),
    ("ADDRESS", "zh", "寄到{}", "广东省深圳市南山区科技园路1号"),
    ("PASSPORT", "en", "passport no. {}", "N1234567"),
    ("PASSPORT", "fr", "mon passeport: {}", "18CV12345"),
    ("CREDENTIAL", "en", "the pwd is hunter-{}", "Tr0ub4dor"),
    ("CREDENTIAL", "en", "DB_PASSWORD={}", "s3cr3t-Pa55"),
    ("CREDENTIAL", "en", "curl -u admin:{} https://example.com", "Passw0rd99"),
    ("CREDENTIAL", "es", "mi contraseña es {}", "Gato-Negro-88"),
    ("CREDENTIAL", "en", '{"api_key": "{}"}', "0a1b2c3d4e5f60718293"),
    ("IP_ADDRESS", "en", "ssh root@{} -p 22", "198.51.100.23"),
    ("IP_ADDRESS", "en", "[{}]:443", "2001:db8:85a3::8a2e:370:7334"),
    ("CARD", "fr", "carte n° {} exp 04/29", "4970 1000 0000 0014"),
    ("CARD", "ja", "カード番号{}です", "3530111333300000"),
    ("IBAN", "fr", "virement sur {} svp", "FR14 2004 1010 0505 0001 3M02 606"),
    ("IBAN", "nl", "rekening {}", "nl91abna0417164300"),
    ("US_SSN", "en-US", "social security number: {}", "219099999"),
    ("ES_DNI", "es", "con DNI {}", "12.345.678-Z"),
    ("IT_CODICE_FISCALE", "it", "C.F.: {}", "RSSMRA85T10A562S"),
    ("CN_RESIDENT", "zh", "证件号码：{}。", "11010519491231002X"),
    ("BR_CPF", "pt-BR", "cpf {}", "11144477735"),
    ("IN_AADHAAR", "en-IN", "Aadhaar: {}", "234123412346"),
    ("SE_PERSONNUMMER", "sv", "pnr {}", "19811228-9874"),
    ("EMAIL", "en", "Reply-To: {}", "support+ticket-4411@example.io"),
    ("EMAIL", "es", "apúntame, soy {} jeje", "nuria_ferrer.88@example.es"),
    ("EMAIL", "pl", "faktura na: {};", "biuro@zażółć.example.pl"),
    ("EMAIL", "ko", "메일 주소: {} 입니다", "hong.gildong@example.co.kr"),
    ("EMAIL", "de", "mailto:{}?subject=hi", "k.weiß@example.de"),
    ("PHONE", "en", "ring me on my mobile, it is {}", "07700 900123"),
    ("PHONE", "en-US", "Cell 2: {}", "415.555.0134"),
    ("PHONE", "en-AU", "mob {}", "0491 570 156"),
    ("PHONE", "de", "Durchwahl {}", "+49-221-4710-999"),
    ("PHONE", "fr", "tél : {}", "0199001234"),
    ("PHONE", "it", "numero di casa {}", "055 123456"),
    ("PHONE", "sv", "telefonen är {}", "08-123 456 78"),
    ("PHONE", "fi", "soita {}", "040 1234567"),
    ("PHONE", "cs", "volejte {}", "+420 601 123 456"),
    ("PHONE", "hu", "hívjon: {}", "06 20 123 4567"),
    ("PHONE", "ro", "suna-ma la {}", "0721 234 567"),
    ("PHONE", "tr", "cep: {}", "0 (532) 123 45 67"),
    ("PHONE", "ar", "اتصل بي على {}", "+966 50 123 4567"),
    ("PHONE", "vi", "gọi cho tôi {}", "0912345678"),
    ("PHONE", "zh-HK", "致電 {}", "9123 4567"),
    ("DATE_OF_BIRTH", "en", "patient (f), born: {}", "02 Nov 1991"),
    ("DATE_OF_BIRTH", "en-US", "birthdate={}", "11/02/1991"),
    ("DATE_OF_BIRTH", "pt", "nasceu em {}", "2 de novembro de 1991"),
    ("DATE_OF_BIRTH", "nl", "geboren te Utrecht op {}", "2 november 1991"),
    ("DATE_OF_BIRTH", "pl", "ur. {}", "02.11.1991"),
    ("DATE_OF_BIRTH", "zh", "生于{}", "1991年11月2日"),
    ("DATE_OF_BIRTH", "ko", "{}생입니다", "1991년 11월 2일"),
    ("ADDRESS", "en", "my place is {}", "Apartment 9, 55 Wharf Road, Leeds LS1 4AP"),
    ("ADDRESS", "en-US", "mail it to {}", "PO Box 1247, Boise, ID 83701"),
    ("ADDRESS", "fr", "domicilié {}", "5, place de la Mairie, 69003 Lyon"),
    ("ADDRESS", "de", "zieht in die {}", "Goethestr. 33"),
    ("ADDRESS", "es", "mi casa: {}", "Paseo de la Castellana 120, 28046 Madrid"),
    ("ADDRESS", "cs", "bydliště {}", "Na Příkopě 12, 11000 Praha"),
    ("ADDRESS", "zh", "收货地址：{}", "浙江省杭州市西湖区文三路456号3栋201室"),
    ("PASSPORT", "en", "UK passport {}", "925665416"),
    ("PASSPORT", "tr", "pasaport no: {}", "U12345678"),
    ("CREDENTIAL", "en", "login with demo / pass: {}", "Blue-Sky-77"),
    ("CREDENTIAL", "en", "export SECRET_KEY='{}'", "zq81mmx0-aa17"),
    ("CREDENTIAL", "de", "mein Kennwort lautet {}", "Sommer2026!"),
    ("CREDENTIAL", "zh", "我的密码：{}", "qwe123rty"),
    ("IP_ADDRESS", "en", "X-Forwarded-For: {}, 10.0.0.1", "198.51.100.77"),
    ("CARD", "en", "amex {} cvc 1234", "3782 822463 10005"),
    ("CARD", "ar", "بطاقتي {}", "5555-5555-5555-4444"),
    ("IBAN", "en", "acct: {}.", "GB82 WEST 1234 5698 7654 32"),
    ("IBAN", "tr", "IBAN'ım {}", "TR330006100519786457841326"),
    ("US_SSN", "en-US", "ss# {}", "219-09-9999"),
    ("NL_BSN", "nl", "burgerservicenummer: {}", "111222333"),
    ("FR_NIR", "fr", "n° sécu {}", "255081416802538"),
    ("PL_PESEL", "pl", "mój pesel to {}", "44051401359"),
    ("TR_KIMLIK", "tr", "kimlik: {}", "10000000146"),
]


# Written last, and the patterns were not changed for them: what to expect of text nobody foresaw.
HELD_OUT = [
    ("EMAIL", "en", "ping me ({}) once merged", "dev-ops_7@example.net"),
    ("EMAIL", "ru", "почта для связи — {}.", "kuznetsova.a@example.ru"),
    ("EMAIL", "pt", "contacte {}/equipa", "inês.sousa@example.pt"),
    ("EMAIL", "hi", "ईमेल करें: {}", "priya_s@example.in"),
    ("EMAIL", "en", '{"user": {"mail": "{}"}}', "t.okafor@example.ng"),
    ("PHONE", "en", "after hours dial {}", "0131 496 0345"),
    ("PHONE", "en-US", "fax it over to {}", "212-555-0175"),
    ("PHONE", "de", "mobil: {}", "0151 23456789"),
    ("PHONE", "fr", "rappelez-moi au {}", "+33 1 99 00 45 67"),
    ("PHONE", "es", "whatsapp {}", "655 012 345"),
    ("PHONE", "da", "ring til {}", "20 12 34 56"),
    ("PHONE", "pl", "kom. {}", "601-234-567"),
    ("PHONE", "el", "τηλ. {}", "210 1234567"),
    ("PHONE", "he", "תתקשר ל-{}", "052-123-4567"),
    ("PHONE", "id", "hubungi {}", "081234567890"),
    ("PHONE", "zh", "座机{}", "021-61234567"),
    ("PHONE", "ko", "핸드폰 {}", "01012345678"),
    ("DATE_OF_BIRTH", "en", "d.o.b. is {}", "9/12/1978"),
    ("DATE_OF_BIRTH", "fr", "ma fille est née {}", "le 9 décembre 1978"),
    ("DATE_OF_BIRTH", "it", "data di nascita {}", "9.12.1978"),
    ("DATE_OF_BIRTH", "sv", "min födelsedag är {}", "9 december 1978"),
    ("DATE_OF_BIRTH", "tr", "{} doğumluyum", "09.12.1978"),
    ("DATE_OF_BIRTH", "ja", "{}生まれです", "1978年12月9日"),
    ("DATE_OF_BIRTH", "hu", "születtem: {}", "1978. 12. 09."),
    ("ADDRESS", "en", "we moved to {}", "3 The Crescent, York YO1 7EP"),
    ("ADDRESS", "en-US", "shipping address {}", "88 N Main St, Dayton, OH 45402"),
    ("ADDRESS", "fr", "livraison : {}", "14 quai Voltaire"),
    ("ADDRESS", "de", "bin umgezogen: {}", "Rosenthaler Str. 40"),
    ("ADDRESS", "it", "spedire a {}", "Corso Italia 77"),
    ("ADDRESS", "pt-BR", "entregar na {}", "Av. Paulista, 1578"),
    ("ADDRESS", "ja", "現住所は{}", "神奈川県横浜市中区本町5-57"),
    ("PASSPORT", "es", "nº de pasaporte {}", "PAB123456"),
    ("CREDENTIAL", "en", "My wifi password is {}", "Falcon4Tree"),
    ("CREDENTIAL", "fr", "le mot de passe est {}", "Soleil-2026"),
    ("CREDENTIAL", "en", "token={} in the query", "9f8e7d6c5b4a39281706"),
    ("IP_ADDRESS", "en", "banned {} after 5 tries", "192.0.2.146"),
    ("CARD", "de", "Kreditkarte {}", "5105105105105100"),
    ("IBAN", "es", "cuenta {}", "ES91 2100 0418 4502 0005 1332"),
    ("UK_NINO", "en", "nino: {}", "AB123456C"),
    ("CA_SIN", "en-CA", "sin {}", "046 454 286"),
]


def filled(form: str, choose: random.Random) -> str:
    """Return ``form`` with each ``{n}`` replaced by n digits, and each lone ``L`` by a letter."""
    parts = []
    rest = form
    while rest:
        head, brace, tail = rest.partition("{")
        parts.append("".join(choose.choice(LETTERS) if c == "L" else c for c in head))
        count, _, rest = tail.partition("}")
        if brace:
            digits = [choose.choice(string.digits) for _ in range(int(count or 0))]
            parts.append("".join(digits))
    return "".join(parts)


LETTERS = "ABCDEFGHJKLMNPRST"


def valid(name: str, form: str, choose: random.Random) -> str:
    """Return a number of a national identifier's form whose check digits hold."""
    check = next(identifier.valid for identifier in NATIONAL_IDS if identifier.name == name)
    while True:
        number = filled(form, choose)
        if name == "TH_ID":
            number = number.replace("--", "-")
        if check(bare(number)):
            return number


def iban(country: str, form: str, choose: random.Random) -> str:
    account = filled(form, choose)
    for check in range(2, 99):
        if mod_97(f"{account}{country}{check:02}"):
            whole = f"{country}{check:02}{account}"
            return " ".join(whole[place : place + 4] for place in range(0, len(whole), 4))
    message = f"no check digits for {country}"
    raise AssertionError(message)


def card(prefix: str, length: int, separator: str, choose: random.Random) -> str:
    digits = prefix + "".join(choose.choices(string.digits, k=length - len(prefix) - 1))
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    digits += str(-total % 10)
    return separator.join(digits[place : place + 4] for place in range(0, length, 4))


def sample(kind: str, locale: str, sentence: str, *value: str) -> Sample:
    return {"kind": kind, "locale": locale, "sentence": sentence, "value": list(value)}


def emails(choose: random.Random) -> Iterator[Sample]:
    for locale, (sentence, local) in EMAIL.items():
        for domain in ("example.com", "mail.example.co.uk"):
            yield sample("EMAIL", locale, sentence, f"{local}{choose.randint(1, 99)}@{domain}")
    yield sample("EMAIL", "zh", "邮箱：{}", "用户@例子.广告")
    yield sample("EMAIL", "en", "write to {} instead", "ada [at] example [dot] org")
    yield sample("EMAIL", "en", "write to {} now", "a\u200bda.l\u00adovelace@example.org")
    yield sample("EMAIL", "ja", "{} へどうぞ", "ｔａｒｏ＠ｅｘａｍｐｌｅ．ｃｏｍ")


def phones(choose: random.Random) -> Iterator[Sample]:
    for locale, (sentence, form) in PHONE.items():
        for _ in range(2):
            number = filled(form.replace("{area}", str(choose.randint(201, 989))), choose)
            yield sample("PHONE", locale, sentence, number)
    arabic = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    yield sample("PHONE", "ar", "رقم هاتفي: {}", filled("05{8}", choose).translate(arabic))
    hindi = str.maketrans("0123456789", "०१२३४५६७८९")
    yield sample("PHONE", "hi", "मेरा फ़ोन {} है", filled("9{9}", choose).translate(hindi))
    wide = str.maketrans("0123456789-", "０１２３４５６７８９－")
    yield sample("PHONE", "ja", "電話番号：{}", filled("03-{4}-{4}", choose).translate(wide))


def dates(choose: random.Random) -> Iterator[Sample]:
    for locale, (sentence, form) in BIRTH.items():
        day = choose.randint(13, 28)
        value = form.format(
            day=day, dd=day, m=choose.randint(1, 9), year=choose.randint(1950, 2005)
        )
        yield sample("DATE_OF_BIRTH", locale, sentence, value)


def places(choose: random.Random) -> Iterator[Sample]:
    for locale, (sentence, values) in ADDRESS.items():
        for value in values:
            yield sample("ADDRESS", locale, sentence, value)
    for locale, (sentence, form) in PASSPORT.items():
        yield sample("PASSPORT", locale, sentence, filled(form, choose))


def national(choose: random.Random) -> Iterator[Sample]:
    for name, (locale, sentence, form) in NATIONAL.items():
        for _ in range(2):
            yield sample(name, locale, sentence, valid(name, form, choose))


def accounts(choose: random.Random) -> Iterator[Sample]:
    for country, form in IBANS.items():
        value = iban(country, form, choose)
        yield sample("IBAN", "any", "IBAN: {} for the transfer", value)
        yield sample("IBAN", "any", "{}", value.replace(" ", ""))
    for prefix, length in [
        ("4", 16),
        ("51", 16),
        ("2221", 16),
        ("34", 15),
        ("6011", 16),
        ("35", 16),
    ]:
        for separator in ("", " ", "-"):
            value = card(prefix, length, separator, choose)
            yield sample("CARD", "en", "Charge {} please", value)


def network(choose: random.Random) -> Iterator[Sample]:
    for sentence in ("Login from {}.", "来自{}的请求", "Der Server {} antwortet nicht", "IP={}"):
        yield sample("IP_ADDRESS", "any", sentence, f"203.0.113.{choose.randint(1, 254)}")
        yield sample("IP_ADDRESS", "any", sentence, f"2001:db8::{choose.randint(4096, 65535):x}:1")
        octets = [f"{choose.randint(0, 255):02x}" for _ in range(6)]
        yield sample("MAC_ADDRESS", "any", sentence, ":".join(octets))


def credentials(choose: random.Random) -> Iterator[Sample]:
    def text(alphabet: str, length: int) -> str:
        return "".join(choose.choices(alphabet, k=length))

    word = string.ascii_letters + string.digits
    base32 = "abcdefghijklmnopqrstuvwxyz234567"
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(b'{"sub":"person"}').decode().rstrip("=")
    begin, end = (f"{'-' * 5}{place} RSA PRIVATE KEY-----" for place in ("BEGIN", "END"))
    makers: list[tuple[str, str, Callable[[], str]]] = [
        ("AWS_KEY", "key {}", lambda: "AK" + "IA" + text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        ("CREDENTIAL", "aws_secret_access_key = {}", lambda: "a1B" + text(word + "/+", 37)),
        ("TOKEN", "git clone with {}", lambda: "gh" + "p_" + text(word, 36)),
        ("TOKEN", "use {} here", lambda: "sk" + "-ant-" + text(word, 40)),
        (
            "TOKEN",
            "slack {}",
            lambda: "xo" + "xb-" + text(string.digits, 12) + "-" + text(word, 24),
        ),
        ("TOKEN", "stripe {}", lambda: "sk" + "_live_" + text(word, 24)),
        ("TOKEN", "my key is {}", lambda: f"lp_{text(base32, 16)}_{text(base32, 52)}"),
        ("JWT", "token {}", lambda: f"{header}.{body}.{text(word, 40)}"),
        (
            "PRIVATE_KEY",
            "{}",
            lambda: f"{begin}\n{text(word, 64)}\n{end}",
        ),
        ("CREDENTIAL", "password: {}", lambda: text(word + "!?#", 12)),
        ("CREDENTIAL", "Das Passwort ist: {}", lambda: text(word + "!?#", 12)),
        ("CREDENTIAL", "mot de passe : {}", lambda: text(word + "!?#", 12)),
        ("CREDENTIAL", "пароль: {}", lambda: text(word + "!?#", 12)),
        ("CREDENTIAL", "密码是{}", lambda: text(word, 12)),
        ("CREDENTIAL", "postgres://app:{}@db.example.com/x", lambda: text(word, 16)),
        ("CREDENTIAL", "Authorization: Bearer {}", lambda: text(word, 32)),
    ]
    for kind, sentence, make in makers:
        for _ in range(2):
            value = make()
            yield sample(kind, "any", sentence, value[:3], value[3:])


def positives() -> list[Sample]:
    choose = random.Random(SEED)  # noqa: S311 - reproducible, not secret
    makers = (emails, phones, dates, places, national, accounts, network, credentials)
    generated = [found for maker in makers for found in maker(choose)]
    return [*generated, *(sample(*row) for row in HARDER)]


def held_out() -> list[Sample]:
    return [sample(*row) for row in HELD_OUT]


def negatives() -> list[Sample]:
    lines = NEGATIVES.strip().splitlines()
    return [{"text": line} for line in lines]


def lines(samples: list[Sample]) -> str:
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in samples)


if __name__ == "__main__":
    (HERE / "positives.jsonl").write_text(lines(positives()), encoding="utf-8")
    (HERE / "held_out.jsonl").write_text(lines(held_out()), encoding="utf-8")
    (HERE / "negatives.jsonl").write_text(lines(negatives()), encoding="utf-8")
