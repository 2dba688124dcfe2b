"""The style sheet of the benchmark's page: light and dark, no fonts or files from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --page: #f7f7f5; --card: #ffffff; --ink: #1c1d1f; --soft: #5c6066; --line: #dcdcd8;
  --grid: #ececea; --warn: #8a4b00; --warn-bg: #fff3dd; --bar: #3b78c4;
  --c0: #2a6fc9; --c1: #c8501c; --c2: #178a63; --c3: #7a4fc0; --c4: #a97700; --c5: #c23a68; --c6: #0d8aa3;
  --c7: #6b6f76; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --card: #1f2226; --ink: #e9eaec; --soft: #a3a8b0;
  --line: #363a40; --grid: #2c3035; --warn: #ffcf87; --warn-bg: #3a2d16; --bar: #5f9be6;
  --c0: #6ea8f5; --c1: #f08a5b; --c2: #4cc79a; --c3: #b294f2; --c4: #e0b13f; --c5: #f07ba3; --c6: #4fc3dc;
  --c7: #a7acb4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 40px 0 4px; }
h3 { font-size: 1rem; margin: 20px 0 6px; }
.card > h3:first-child { margin-top: 0; }
p { margin: 4px 0 12px; max-width: 78ch; }
.soft, figcaption, .tick, .name, .value { color: var(--soft); fill: var(--soft); }
.soft { font-size: 0.92rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px; margin: 12px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; margin: 20px 0 0;
  padding: 0; }
.tiles > div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.tiles dt { color: var(--soft); font-size: 0.85rem; }
.tiles dd { margin: 0; font-size: 1.45rem; font-weight: 600; line-height: 1.25; }
.tiles dd small { display: block; font-size: 0.85rem; font-weight: 400; color: var(--soft); overflow-wrap: anywhere; }
.warn { background: var(--warn-bg); color: var(--warn); border-radius: 8px; padding: 10px 16px 10px 34px;
  margin: 16px 0 0; }
.warn li { margin: 2px 0; }
figure { margin: 0; }
figcaption { font-size: 0.88rem; margin-top: 8px; max-width: 90ch; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
.plot { display: block; width: 100%; min-width: 640px; height: auto; font-size: 12.5px; }
.plot text { font-family: inherit; }
.label { fill: var(--ink); }
.grid { stroke: var(--grid); fill: none; }
.hit { fill: transparent; }
.dots { fill: none; stroke: currentColor; stroke-width: 4.4; stroke-linecap: round; stroke-opacity: 0.5; }
.many { stroke-width: 2.6; stroke-opacity: 0.55; }
.box { fill: currentColor; fill-opacity: 0.13; stroke: currentColor; stroke-opacity: 0.7; }
.median { stroke: var(--ink); stroke-width: 2.5; fill: none; }
.p95 { fill: var(--card); stroke: var(--ink); stroke-width: 1.5; }
.strip:hover .hit { fill: var(--grid); fill-opacity: 0.6; }
.join { fill: none; stroke: currentColor; stroke-opacity: 0.35; stroke-width: 1.5; stroke-dasharray: 3 4; }
.whisker { stroke: currentColor; stroke-width: 1.5; stroke-opacity: 0.6; }
.lead { stroke: currentColor; fill: none; stroke-opacity: 0.5; }
.mark { fill: currentColor; stroke: var(--card); stroke-width: 1.5; }
.named { fill: currentColor; font-weight: 600; }
.key { display: inline-block; width: 16px; height: 16px; vertical-align: -3px; overflow: visible;
  color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 8px; padding: 0; list-style: none;
  font-size: 0.88rem; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; color: var(--soft); padding-bottom: 6px; }
th, td { padding: 5px 10px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { font-weight: 600; vertical-align: bottom; }
thead tr:not(:last-child) > * { border-bottom: 0; padding-bottom: 0; }
thead th.group { text-align: center; color: var(--soft); font-weight: 400; }
th:first-child, td.text { text-align: left; }
td.text { white-space: normal; min-width: 20em; }
tbody th { font-weight: 500; }
tbody th { position: sticky; left: 0; background: var(--card); }
td.none { color: var(--soft); white-space: normal; min-width: 9em; }
.cell { min-width: 160px; width: 34%; }
.bar { display: block; height: 12px; min-width: 1px; border-radius: 0 3px 3px 0; background: var(--bar); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; font-size: 0.92rem; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 12px; }
.pair .card { margin: 0; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.88rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 16px; }
.pictures img { width: 100%; height: auto; border-radius: 4px; display: block; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
footer { margin-top: 40px; color: var(--soft); font-size: 0.85rem; }
@media (max-width: 520px) { dl.facts { grid-template-columns: 1fr; gap: 0; } dl.facts dd { margin-bottom: 8px; }
  .pair { grid-template-columns: 1fr; } main { padding: 20px 12px 40px; } }
@media print { .card { break-inside: avoid; } .scroll { overflow: visible; } }
"""
