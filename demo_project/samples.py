"""Files to try the import with: one that is clean, and one such as they come from customers."""

from __future__ import annotations

import csv
import io
import random

KINDS = {"clean", "messy"}
ROWS = 1200

FIRST = ["Ada", "Björn", "Chloé", "Emilia", "François", "Grace", "Hélène", "Inés", "Jürgen", "Luís"]
LAST = ["Åkesson", "Baker", "Castaño", "Dupont", "Evans", "Gómez", "Ivers", "Jäger", "Lefèvre"]
CITIES = ["Aarhus", "Besançon", "Cork", "Dresden", "Edinburgh", "Genève", "Köln", "Málaga"]


def make(kind: str) -> bytes:
    """The messy one has semicolons, Windows-1252, and 20 rows that cannot be read."""
    dice = random.Random(7)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";" if kind == "messy" else ",")
    writer.writerow(["Name", "E-mail", "City", "Turnover"])
    for number in range(1, ROWS + 1):
        first, last = dice.choice(FIRST), dice.choice(LAST)
        turnover = f"{dice.randrange(100, 90_000)},{dice.randrange(100):02}"
        row = [f"{first} {last}", f"c{number}@example.com", dice.choice(CITIES), turnover]
        if kind == "messy" and number % 60 == 0:
            spoil(row, dice)
        writer.writerow(row)
    return text.getvalue().encode("cp1252" if kind == "messy" else "utf-8")


def spoil(row, dice):
    """Do what people do to their spreadsheets."""
    match dice.randrange(3):
        case 0:
            row[0] = ""
        case 1:
            row[1] = row[1].replace("@", " at ")
        case _:
            del row[2]
