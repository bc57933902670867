"""
Guess the encoding of a file.

A mark at the beginning decides, then UTF-8 if the file is that, then charset-normalizer. For the
Latin alphabet, where charset-normalizer often takes Western for Central European ("Hélčne"), the
words decide: the encoding wins in which most of them could be of one language.
"""

from __future__ import annotations

import codecs
import re

import charset_normalizer

CHUNK = 1024 * 1024
SAMPLE = 64 * 1024

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark begins it
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

WESTERN = "äöüß àâæçèéêëîïôœùûü áéíñóúü ãõçáéíóúâêôà àèéìòù åäöæøé þðæöáéíóúý"
CENTRAL = "ěščřžýáíéúůťďňó ąćęłńóśźż áéíóöőúüű ăâîşţ áäčďéíĺľňóôŕšťúýž čćđšž"
LANGUAGES = {
    "cp1252": WESTERN,
    "cp1250": CENTRAL,
    "iso8859_15": WESTERN,
    "cp1254": "çğıöşüâî\N{COMBINING DOT ABOVE}",
    "cp1257": "ąčęėįšųūž āčēģīķļņšūž äöüõšž",
    "cp850": WESTERN,
    "mac_roman": WESTERN,
    "iso8859_2": CENTRAL,
}
BETWEEN_WORDS = r"[\x00-/:-@\[-`{-\x7f«»\u2013\u2014\u2018-\u201d\u2026]+"
SYMBOLS = set("€£¥¢§°©®™•·²³½¼¡¿×")


def guess(file) -> str:
    head = file.read(SAMPLE)
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    if encoding := wide(head):
        return encoding
    file.seek(0)
    foreign = foreign_lines(file)
    if foreign is None:
        return "utf-8"
    if encoding := latin(foreign):
        return encoding
    match = charset_normalizer.from_bytes(foreign).best()
    return match.encoding if match else "cp1252"


def wide(head: bytes) -> str:
    """UTF-16 without a mark: every other byte of an English text is zero."""
    half = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > half * 0.4 and even < half * 0.1:
        return "utf-16-le"
    if even > half * 0.4 and odd < half * 0.1:
        return "utf-16-be"
    return ""


def foreign_lines(file) -> bytes | None:
    """Return some lines that are not ASCII, or None if the file is UTF-8 (but for a few slips)."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    good = slips = 0
    lines = bytearray()
    while chunk := file.read(CHUNK):
        text = decoder.decode(chunk)
        replaced = text.count("\N{REPLACEMENT CHARACTER}")
        slips += replaced
        good += len(text) - len(text.encode("ascii", "ignore")) - replaced
        if replaced and len(lines) < SAMPLE:
            some = [line for line in chunk.splitlines() if not line.isascii()]
            lines += b"\n".join(some)[:SAMPLE] + b"\n"
    return bytes(lines) if slips > good else None


def latin(sample: bytes) -> str:
    """Return the encoding that explains most words, or "" if the text is in another alphabet."""
    best, most = "", 0.5
    for encoding, languages in LANGUAGES.items():
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        explained = share_of_words(text, [set(letters) for letters in languages.split()])
        if explained > most:
            best, most = encoding, explained
    return best


def share_of_words(text: str, alphabets: list[set[str]]) -> float:
    """How many of the words with accents could be of one of the languages?"""
    words = [word for word in re.split(BETWEEN_WORDS, text) if not word.isascii()]
    explained = sum(is_word(word, alphabets) for word in words)
    return explained / len(words) if words else 0


def is_word(word: str, alphabets: list[set[str]]) -> bool:
    foreign = {char for char in word.lower() if not char.isascii()}
    if not any(char.isalpha() for char in word):
        return foreign <= SYMBOLS
    return any(foreign <= alphabet for alphabet in alphabets)
