"""HTML: a small table for notebooks, without scripts, in whatever colours the page has."""

from __future__ import annotations

from html import escape

_CELL = 'style="text-align: left; vertical-align: top; padding: 0.1em 1em 0.1em 0"'


def table(title: str, rows: list[tuple[str, str]], note: str = "") -> str:
    """A titled table of names and texts, all of it escaped.

    Examples
    --------
    >>> from fastgd._html import table
    >>> "a &lt; b" in table("Rates", [("lr", "a < b")])
    True
    """
    body = "".join(f"<tr><th {_CELL}>{escape(name)}</th><td {_CELL}>{escape(text)}</td></tr>" for name, text in rows)
    below = f"<p>{escape(note)}</p>" if note else ""
    return f"<div><strong>{escape(title)}</strong><table><tbody>{body}</tbody></table>{below}</div>"
