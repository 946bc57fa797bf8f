"""What all HTML pages of the suite share: the head, colours for light and dark screens, escaped text."""

import html
from collections.abc import Iterable
from typing import Any

STYLE = """
:root { color-scheme: light dark;
  --background: #ffffff; --foreground: #1f1f1f; --muted: #5c5c5c; --line: #d0d0d0; }
@media (prefers-color-scheme: dark) {
  :root { --background: #16181b; --foreground: #e8e8e8; --muted: #a8a8a8; --line: #44484d; }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem;
  background: var(--background); color: var(--foreground); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
a { color: inherit; }
@media (max-width: 700px) {
  body { padding: .75rem; }
}
"""


def document(title: str, body: Iterable[str], *, style: str) -> str:
    """A complete page that needs no other file; body: its elements, escaped. style: rules beside `STYLE`."""
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>"
    )
    return "\n".join([head, *body, "</body>", "</html>", ""])


def escaped(value: Any) -> str:
    """The value as text in an element or in a quoted attribute.

    >>> escaped('a <b> & "c"')
    'a &lt;b&gt; &amp; &quot;c&quot;'
    """
    return html.escape(str(value))
