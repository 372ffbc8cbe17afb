"""HTML: how results show themselves in notebooks, without scripts or colours of their own, on dark and on light."""

from __future__ import annotations

from typing import Any

import numpy as np

#: points of a curve, and its size in pixels
_POINTS, _WIDE, _HIGH = 120, 240, 36


def table(title: str, rows: list[tuple[str, str]], note: str = "", curve: Any = None) -> str:
    """A small table of names and values under a title, with a remark below: text in, safe HTML out.

    `curve`, if it has two values or more, is drawn below, small and without axes; on a logarithmic scale if all of
    them are > 0.

    Examples
    --------
    >>> from fastgd._html import table
    >>> "&lt;b&gt;" in table("a run", [("loss", "<b>")])
    True
    """
    from html import escape  # seldom needed, and slow to load

    left = "text-align:left;vertical-align:top"
    cells = "".join(
        f'<tr><th style="{left};font-weight:normal;opacity:0.7;white-space:nowrap">{escape(name)}</th>'
        f'<td style="{left};font-family:monospace;white-space:pre-wrap">{escape(value)}</td></tr>'
        for name, value in rows
    )
    below = f'<div style="opacity:0.7">{escape(note)}</div>' if note else ""
    drawn = "" if curve is None else _curve(np.asarray(curve, np.float64))
    return f"<div><strong>{escape(title)}</strong><table><tbody>{cells}</tbody></table>{below}{drawn}</div>"


def _curve(values: Any) -> str:
    """A line in the colour of the text."""
    at = np.flatnonzero(np.isfinite(values) & (np.abs(values) < 1e250))
    if len(at) < 2:
        return ""
    at = at[np.unique(np.linspace(0, len(at) - 1, _POINTS).astype(int))]
    heights = np.log10(values[at]) if (values[at] > 0).all() else values[at]
    x = (at - at[0]) / (at[-1] - at[0]) * (_WIDE - 4) + 2
    y = (heights.max() - heights) / (np.ptp(heights) or 1.0) * (_HIGH - 4) + 2
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return (
        f'<svg width="{_WIDE}" height="{_HIGH}" role="img" aria-label="from start to end">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )
