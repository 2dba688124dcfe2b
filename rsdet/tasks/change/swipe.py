"""A page with both dates one over the other and a slider between them: one file, no network, no other program."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import cv2
import numpy as np

from rsdet.names import printable
from rsdet.tasks.change.visual import FOUND, dates_of
from rsdet.writing import write_text

SWIPE = "swipe"  # folder of the pages
LONGEST_PX = 2048  # larger pictures are shrunk
_FILL, _QUALITY = 70, 88  # opacity inside of an outline, of 255; of JPEG

_STYLE = """
:root { color-scheme: light dark; --page: #f7f7f5; --ink: #1c1d1f; --soft: #5c6066; --line: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --ink: #e9eaec; --soft: #a3a8b0; } }
body { margin: 0; padding: 24px; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1400px; margin: 0 auto; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
p { margin: 4px 0 12px; color: var(--soft); overflow-wrap: anywhere; }
.dates { position: relative; display: inline-block; line-height: 0; --at: 50%; max-width: 100%; }
.dates img { display: block; max-width: 100%; max-height: 82vh; height: auto; user-select: none; }
.dates img + img { position: absolute; inset: 0; width: 100%; height: 100%; max-height: none; }
.dates img[hidden] { display: none; }
.later { clip-path: inset(0 0 0 var(--at)); }
.bar { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px; background: var(--line);
  box-shadow: 0 0 4px #000; pointer-events: none; }
.dates input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }
.dates:focus-within { outline: 2px solid #3b78c4; outline-offset: 2px; }
.tag { position: absolute; top: 8px; padding: 2px 8px; font-size: .85rem; line-height: 1.4; color: #fff;
  background: #000a; border-radius: 4px; pointer-events: none; max-width: 45%; overflow-wrap: anywhere; }
.tag.left { left: 8px; } .tag.right { right: 8px; }
label { display: inline-flex; gap: 8px; align-items: center; margin-top: 10px; }
"""
_SCRIPT = """
const dates = document.querySelector('.dates'), shown = document.getElementById('changes');
dates.querySelector('input').addEventListener('input', e => dates.style.setProperty('--at', e.target.value + '%'));
shown.addEventListener('change', () => dates.querySelector('.found').hidden = !shown.checked);
"""


def write_swipe(path: Path, stack: np.ndarray, found: np.ndarray, title: str, tags: tuple[str, str], told: str) -> Path:
    """Write the page.

    Args:
        path: Of the page.
        stack: (H, W, 2 * C) uint8, both dates.
        found: (H, W), 1 where something has changed.
        title: Heading.
        tags: What the earlier and the later date are called.
        told: What was found, in a line.
    """
    part = LONGEST_PX / max(found.shape)
    if part < 1:
        size = max(1, round(found.shape[1] * part)), max(1, round(found.shape[0] * part))
        planes = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in np.split(stack, 2, axis=2)]
        stack = np.concatenate([p.reshape(*size[::-1], -1) for p in planes], 2)
        found = (cv2.resize((found == 1).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    before, after = (_uri(".jpg", date[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]) for date in dates_of(stack))
    title, told, *tags = (escape(printable(text)) for text in (title, told, *tags))
    return write_text(
        path,
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">"
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{_STYLE}</style></head><body><main>'
        f'<h1>{title}</h1><p>{told}</p><div class="dates"><img src="{before}" alt="Earlier date: {tags[0]}">'
        f'<img class="later" src="{after}" alt="Later date: {tags[1]}">'
        f'<img class="found" src="{_uri(".png", _outlined(found == 1), [])}" alt="Changes: {told}">'
        f'<span class="bar"></span><span class="tag left">{tags[0]}</span><span class="tag right">{tags[1]}</span>'
        '<input type="range" min="0" max="100" step="0.1" value="50" aria-label="Part of the earlier date">'
        '</div><br><label><input type="checkbox" id="changes" checked> show what has changed</label>'
        f"<script>{_SCRIPT}</script></main></body></html>\n",
    )


def _outlined(changed: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 BGRA of what has changed, its outline in full."""
    out = np.zeros((*changed.shape, 4), np.uint8)
    out[changed] = (*FOUND[::-1], _FILL)
    outlines, _ = cv2.findContours(changed.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(out, outlines, -1, (*FOUND[::-1], 255), 1)


def _uri(suffix: str, picture: np.ndarray, how: list[int]) -> str:
    data = cv2.imencode(suffix, np.ascontiguousarray(picture), how)[1].tobytes()
    kind = "jpeg" if suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
