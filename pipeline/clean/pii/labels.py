"""Words that say what a number beside them is, in the languages that most pages are written in.

Telephone numbers: English, Chinese, Hindi, Spanish, French, Arabic, Bengali, Portuguese, Russian, Urdu, Indonesian,
German, Japanese, and their neighbours of Europe and Asia.
"""

import re
from functools import lru_cache

_LATIN = (
    r"tel(?:ephone|efone|éfono|efono|efon|efoon|efonu|epon|ef|p|f)?|télé?(?:phone|copie)?|téléc(?:opieur)?|tfno|tlfn?o?|tfn"
    r"|(?:mobil|fest|privat|auto)?telef(?:on|oon|one)(?:nummer|numru|i|u)?|phone|ph|fone|fon"
    r"|fax|telefax|facsimile|mobiles?|mobil(?:e|nummer|funk|ni|ný)?|móvil|movil|mobiel|mob|cell(?:ulare|ulaire|phone|ular)?"
    r"|celular|telemóvel|portable|landline|hotline|helpline|whats ?app|handy(?:nummer)?|rufnummer|durchwahl"
    r"|ponsel|gsm|komórka|tālrunis|puh(?:elin)?|điện thoại|sđt|di động|toll[- ]free"
)
# words that say it only before a colon
_BEFORE_A_MARK = r"office|home|work|desk|contact|cel|hp|kom|đt|sími|whats|standard|direct|main|т"
_CYRILLIC = r"тел(?:ефоны?|ефакс)?|моб(?:ильный|ільний|илен)?|факс|сот(?:овый)?"
_GREEK_AND_HEBREW = r"τηλ(?:έφωνο|εφωνο)?|κιν(?:ητό)?|φαξ|טלפון|טל|נייד|פקס"
_ARABIC = (
    r"(?:ال)?هاتف|(?:ال)?جوال|موبايل|تلفون|تليفون|فاكس|محمول|نقال|للتواصل|(?:رقم )?الهاتف|واتساب|تلفن|موبایل|تماس|نمابر"
    r"|فون(?: نمبر)?|ٹیلی ?فون|موبائل|رابطہ(?: نمبر)?|فیکس"
)
_INDIC = r"फ़ोन|फोन|फ़ोन|टेलीफ़ोन|टेलीफोन|मोबाइल|मोबाईल|दूरभाष|संपर्क|फैक्स|ফোন|মোবাইল|টেলিফোন|ফ্যাক্স|যোগাযোগ"
_NO_SPACES = (
    r"电话(?:号码)?|電話(?:番号|號碼)?|手机(?:号码?)?|手機|传真|傳真|热线|熱線|座机|联系方式|聯絡電話|客服|携帯(?:電話|番号)?"
    r"|ファックス|ファクス|フリーダイヤル|ケータイ|전화(?:번호)?|휴대폰|핸드폰|팩스|연락처|โทรศัพท์|โทร|มือถือ|แฟกซ์"
)
_NUMBER = r"(?:[ .]{0,2}(?:nos?|num(?:ber)?s?|numm?ers?|nr|n[°ºo]|№|número|numéro|numero|номер|号码|番号)(?: is\b)?)?"
_NOTE = r"(?:[ \u00a0]?\([^()\n\d]{1,24}\)|[ \u00a0][^\W\d_]{1,12}(?=\s?[:：]))?"  # (Büro)
_WORDS = rf"(?:\b(?:{_LATIN}|{_CYRILLIC}|{_GREEK_AND_HEBREW}|{_ARABIC}|{_INDIC})|{_NO_SPACES})"
_LETTER = r"(?:(?:^|[\n|,;•·(])[ \u00a0]*[TMFP](?=\s?[:：]))"
_MARK = "[:：.=\uff1d]"
_BLANK = r"[\s\u00a0]*"
STRONG_LABEL = re.compile(
    rf"(?:(?:{_WORDS}|\b(?:{_BEFORE_A_MARK})|{_LETTER}){_NUMBER}\.?{_NOTE}{_BLANK}{_MARK}+{_BLANK}(?:[-–\u2011]{_BLANK})?"
    rf"|[☎☏📞📱✆🕿]\ufe0f?[\s\u00a0:]*)[(（]?$",
    re.IGNORECASE,
)
_CALLING = (
    r"(?:call(?:ing)?|ring|phone|text|reach|dial|sms|contact|llame|llámenos|ligue|appelez|rufen sie"
    r"|anrufen|bel|звоните|hubungi)"
    r"(?: (?:us|me|him|her|them|you|now|today|toll[- ]free|al|au|para|unter|по телефону))?(?: (?:at|on|to|under))?"
)
# a label without a mark stands in the number's line, or alone in the line above
WEAK_LABEL = re.compile(
    rf"(?:(?:{_WORDS}{_NUMBER}{_NOTE}|\b(?:{_CALLING}))[ \t\u00a0]*[-–:：]?[ \t\u00a0]*"
    rf"|(?:^|\n)[ \t\u00a0]*{_WORDS}{_NUMBER}[ \t\u00a0]*\r?\n[ \t\u00a0]*)[(（]?$",
    re.IGNORECASE,
)
AFTER = re.compile(
    r"\s?[-–(]?\s?\(?(?:office|fax|mobile|cell|home|work|tel|mobil|phone|whatsapp|büro|bureau|casa|móvil)\b\)?\\?\s*"
    r"(?:$|[\n,;|<)\\.])",
    re.IGNORECASE,
)
PAYING = re.compile(
    r"(?:\bcards?\b|\bcarte\b|karten?\b|\bkaart|\btarjeta|\bcart[ãa]o|\bcarta\b|\bkart[auyę]?\b|kredit|\bcredit|\bdebit"
    r"|\bvisa\b|maestro|mastercard|amex|\bpan\b|\bcc\b|\bpaid\b|\bpay(?:ment|ing|s)?\b|卡|カード|карт)[^\n]{0,40}$",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\W\d_]+|[☎☏📞📱✆🕿]")
_ONE_OF_A_LABEL = re.compile(
    rf"{_LATIN}|{_BEFORE_A_MARK}|{_CYRILLIC}|{_GREEK_AND_HEBREW}|{_ARABIC}|[TMFP]|[☎☏📞📱✆🕿]|free|động|thoại"
    r"|call(?:ing)?|ring|text|reach|dial|sms|llame|llámenos|ligue|appelez|rufen|anrufen|bel|звоните|hubungi",
    re.IGNORECASE,
)
_WITHIN_A_LABEL = re.compile(rf"{_INDIC}|{_NO_SPACES}")  # their vowel signs are no letters; they have no spaces
LABEL_WORDS = 4  # the last ones before a number, of which one is of a label where there is any


def may_be_labelled(ahead: str) -> bool:
    """False where no word before a number is one of a label's: so it is with most numbers, and found out quickly."""
    return any(map(_is_of_a_label, _TOKEN.findall(ahead)[-LABEL_WORDS:])) or not ahead.isascii()


@lru_cache(1 << 14)
def _is_of_a_label(word: str) -> bool:
    return _ONE_OF_A_LABEL.fullmatch(word) is not None or _WITHIN_A_LABEL.search(word) is not None
