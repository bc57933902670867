"""The detection of a file's encoding."""

# ruff: noqa: RUF001 - letters that look like others are the matter here

from __future__ import annotations

import codecs
import io

import pytest

from demo_project import charset

TEXTS = {
    "utf-8": "Łukasz;Müller;Петров\n",
    "cp1252": "name;stadt\nMüller;Köln\nJürgen Groß;München\n",
    "cp1250": "jméno;město\nDvořák;Plzeň\nŽižka;Třebíč\n",
    "cp1251": "имя;город\nИван Петров;Москва\nОльга;Казань\n",
    "cp1253": "όνομα;πόλη\nΓιώργος;Αθήνα\n",
    "cp1254": "ad;şehir\nAyşe Yılmaz;İstanbul\nÇağrı Öztürk;Eskişehir\n",
    "cp1257": "vardas;miestas\nŽydrūnas Šarūnas;Kėdainiai\n",
    "iso8859_2": "Łukasz Wiśniewski;Kraków\nGrażyna;Łódź\nŽižka;Tábor\n",
    "mac_roman": "name;stadt\nMüller;Köln\nJürgen Groß;München\n",
    "cp850": "name;stadt\nMüller;Köln\nJürgen Groß;München\n",
    "cp932": "名前,市\n田中太郎,東京\n鈴木花子,大阪\n",
    "gb18030": "姓名,城市\n王小明,北京\n李华,上海\n",
    "big5": "姓名,城市\n王小明,臺北\n陳美麗,高雄\n",
    "utf-16-le": "name;stadt\nMüller;Köln\n",
    "utf-16-be": "name;stadt\nMüller;Köln\n",
}


def guess(content: bytes) -> str:
    return charset.guess(io.BytesIO(content))


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("rows", [1, 200])
def test_what_was_written_is_read(encoding, rows):
    text = TEXTS[encoding] * rows
    content = text.encode(encoding)
    assert content.decode(guess(content)) == text


@pytest.mark.parametrize(
    "text",
    [
        "Nom;Ville\nHélène;Besançon\nFrançois Lefèvre;Orléans\n",
        "Nombre;Ciudad\nMuñoz;Málaga\n",
        "name,price\nCafé,€5\n",
        "José\nMüller\nSøren Ångström\nJoão Gonçalves\nl’été\nÞór\n",
    ],
)
def test_western_names_are_not_taken_for_central_european(text):
    assert guess(text.encode("cp1252")) == "cp1252"


@pytest.mark.parametrize("mark", charset.MARKS)
def test_a_mark_decides(mark):
    encodings = {
        codecs.BOM_UTF8: "utf-8",
        codecs.BOM_UTF16_LE: "utf-16-le",
        codecs.BOM_UTF16_BE: "utf-16-be",
        codecs.BOM_UTF32_LE: "utf-32-le",
        codecs.BOM_UTF32_BE: "utf-32-be",
    }
    content = mark + "Müller".encode(encodings[mark])
    assert content.decode(guess(content)) == "Müller"


def test_what_is_foreign_may_come_late():
    """The first lines alone would look like ASCII."""
    content = b"name;city\n" + b"Smith;Cork\n" * 200_000 + "Müller;Köln\n".encode("cp1252")
    assert guess(content) == "cp1252"


def test_a_slip_does_not_make_another_encoding():
    content = "Müller\nŁódź\n".encode() + b"K\xf6ln\n"
    assert guess(content) == "utf-8"
