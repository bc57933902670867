"""
Find unidiomatic sentences in the documentation, docstrings and comments.

    python tools/prose.py              list each sentence with its place, and fail if any is found
    python tools/prose.py --report     count the sentences in each file
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FILES = [
    *(f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")),
    *("docs/**/*.md", "notify/**/*.py", "client/src/**/*.js"),
    *("tests/**/*.py", "tests/**/*.mjs", "client/test/**/*.js"),
]
RULES = {
    re.compile(r"^(Who|Whoever|What)\b[^?]*$"): "name the subject in place of who or what",
    re.compile(r"\b(is|are) none\b"): "write what is missing, or that there is no such thing",
    re.compile(r"^Whether\b[^?]*$"): "write: Returns whether, or: True if",
    re.compile(r"\b(he|him|his|himself)\b", re.IGNORECASE): "write: they, their, or: the user",
}

NOT_PROSE = [  # of Markdown
    re.compile(r"^( *)(`{3,}|:{3,}|~{3,}).*?^\1\2$", re.DOTALL | re.MULTILINE),  # code blocks
    re.compile(r"^#.*$", re.MULTILINE),  # headings
    re.compile(r"(?<=\]\()[^)]*"),  # link targets
]
CODE = re.compile(r"``?[^`]+``?")
JS_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'`\w])//[^\n]*(?:\n\s*//[^\n]*)*", re.DOTALL)
MARGIN = re.compile(r"^[ \t]*(?:[*#|>-]+ ?|//+ ?|/\*+ ?)", re.MULTILINE)
# A sentence begins after another sentence, after a blank line, in a table cell, or in a list item.
BREAK = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\s\|\s|\n(?=\s*[*-] )")


def blank(match: re.Match[str]) -> str:
    """Returns as many line breaks as the match has, so that later lines keep their numbers."""
    return "\n" * match[0].count("\n")


def passages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file, each with the number of its first line."""
    source = path.read_text()
    if path.suffix == ".md":
        for pattern in NOT_PROSE:
            source = pattern.sub(blank, source)
        yield 1, source
    elif path.suffix in (".js", ".mjs"):
        for match in JS_COMMENT.finditer(source):
            yield source.count("\n", 0, match.start()) + 1, match[0].removesuffix("*/")
    else:
        for node in ast.walk(ast.parse(source)):
            if isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ) and ast.get_docstring(node):
                docstring = node.body[0]
                assert isinstance(docstring, ast.Expr)
                yield docstring.lineno, ast.literal_eval(docstring.value)
        yield from comments_of(source)


def comments_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments of Python code. Consecutive comment lines are joined into one comment."""
    blocks: list[tuple[int, list[str]]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            alone = not token.line[:column].strip()
            if not (blocks and alone and line == blocks[-1][0] + len(blocks[-1][1])):
                blocks.append((line, []))
            blocks[-1][1].append(token.string)
    for line, block in blocks:
        yield line, "\n".join(block)


def find_faults(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the sentence and the advice for each sentence that matches a rule."""
    for first, text in passages(path):
        text = CODE.sub("CODE", MARGIN.sub(lambda match: "" if "-" not in match[0] else "- ", text))
        start = 0
        for end in [*(match.start() for match in BREAK.finditer(text)), len(text)]:
            part = text[start:end]
            sentence = " ".join(part.strip(" \n\t|").removeprefix("- ").split())
            line = first + text.count("\n", 0, start + len(part) - len(part.lstrip()))
            start = end
            if path.suffix == ".md" and sentence[-1:].isalnum():  # usually a table header
                continue
            for pattern, advice in RULES.items():
                if pattern.search(sentence):
                    yield line, sentence, advice


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", action="store_true", help="only count the sentences")
    given = parser.parse_args(arguments)
    found: Counter[str] = Counter()
    paths = sorted({path for pattern in FILES for path in PROJECT.glob(pattern)})
    for path in paths:
        if "_build" in path.parts:
            continue
        name = str(path.relative_to(PROJECT))
        for line, sentence, advice in find_faults(path):
            found[name] += 1
            if not given.report:
                print(f"{name}:{line}: {advice}: {sentence[:100]}")
    if given.report:
        print("\n".join(f"{count:4}  {name}" for name, count in found.most_common()))
    print(f"{found.total()} sentences to rewrite.")
    return 1 if found and not given.report else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
