"""Text as it was meant: mojibake repaired, control characters and odd line ends gone."""

import re
import unicodedata

import ftfy

_CONFIG = ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False, explain=False)
"""Quotes and entities are part of what authors write; both occur in texts about typing them."""

_ODD_ASCII = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK_LINES = re.compile(r"\n{3,}")
_LINE_END = re.compile(r"[ \t]+$", re.MULTILINE)


def normalised(text: str) -> str:
    """Return ``text`` repaired by ftfy, in NFC, without space around it or at the ends of lines.

    At most one blank line follows another line.
    """
    # ftfy would change nothing in ASCII without control characters, but look at every line.
    if not text.isascii() or _ODD_ASCII.search(text):
        text = unicodedata.normalize("NFC", ftfy.fix_text(text, _CONFIG))
    return _BLANK_LINES.sub("\n\n", _LINE_END.sub("", text)).strip()
