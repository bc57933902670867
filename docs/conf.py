"""The documentation: Sphinx, Markdown by MyST, the theme Furo."""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

# The reference quotes docstrings, and Django's models can be imported only with settings.
import django  # noqa: E402
from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="not a secret",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "notify",
    ],
)
django.setup()

import notify  # noqa: E402

project = "notify"
author = "The contributors of django-notify-live"
project_copyright = author
release = version = notify.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autoclass_content = "class"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"notify {version}"


def mark_examples(app, what, name, obj, options, lines):
    """Show the indented examples of docstrings as code; the sources do without ``::``."""
    marked = []
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else ""
        is_example = line.startswith("    ") and not before.strip()
        if is_example and marked and not _is_in_block(marked):
            marked += ["::", ""]
        marked.append(line)
    lines[:] = marked


def _is_in_block(lines):
    """Whether the last text before was indented itself, as in an example or under "Args:"."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.startswith("    ")


def setup(app):
    # Before Napoleon, which reads the docstrings at priority 500.
    app.connect("autodoc-process-docstring", mark_examples, priority=400)
