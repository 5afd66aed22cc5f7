"""The look of the report: one style sheet, light and dark, printable, no outside resources."""

REPORT_CSS = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #16202c; --soft: #5a6a7c; --rule: #dfe4ea;
  --accent: #0f6fb5; --accent2: #d9641c; --good: #1c7f4d; --caution: #a65f00; --poor: #b3261e;
  --goodpaper: #e7f5ed; --cautionpaper: #fdf3e1; --poorpaper: #fbe9e7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1319; --card: #171e27; --ink: #e6ebf1; --soft: #9aa8b7; --rule: #2a3440;
    --accent: #5db3f0; --accent2: #f3a064; --good: #6ad19c; --caution: #f0b85a; --poor: #f28b82;
    --goodpaper: #14291f; --cautionpaper: #2d2413; --poorpaper: #311a19;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
header .kicker { color: var(--soft); font-size: 13px; letter-spacing: .08em; text-transform: uppercase; margin: 0; }
h1 { font-size: 32px; line-height: 1.2; margin: 4px 0 16px; font-weight: 650; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 6px; font-weight: 650; }
h2 + p { margin-top: 0; color: var(--soft); max-width: 72ch; }
h3 { font-size: 15px; margin: 0 0 6px; font-weight: 600; }
.verdict { border-left: 5px solid; border-radius: 8px; padding: 14px 18px; margin: 0 0 20px; font-size: 18px; }
.verdict.good { border-color: var(--good); background: var(--goodpaper); }
.verdict.caution { border-color: var(--caution); background: var(--cautionpaper); }
.verdict.poor { border-color: var(--poor); background: var(--poorpaper); }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 0; }
.numbers div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 14px; }
.numbers dt { color: var(--soft); font-size: 13px; }
.numbers dd { margin: 0; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.numbers .unit { display: block; font-size: 13px; font-weight: 400; color: var(--soft); white-space: normal; }
.pictures { display: grid; grid-template-columns: repeat(2, 1fr); gap: 16px; }
.zooms { display: grid; grid-template-columns: repeat(2, 1fr); gap: 16px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; background: #000; image-rendering: auto; }
figure img.pixelated { image-rendering: pixelated; }
figcaption { padding: 10px 14px 12px; font-size: 14px; color: var(--soft); }
figcaption b { color: var(--ink); display: block; }
.charts figure { padding: 14px 10px 2px; }
.charts figcaption { padding: 2px 6px 10px; }
svg.chart { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg .bars rect { fill: var(--accent); opacity: .85; }
svg text { fill: var(--soft); }
svg .label { fill: var(--ink); font-size: 12.5px; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .expected { stroke: var(--accent2); stroke-width: 1.6; stroke-dasharray: 5 4; }
svg .curve0, svg .curve1 { fill: none; stroke-width: 1.6; }
svg .curve0 { stroke: var(--accent); } svg .curve1 { stroke: var(--accent2); }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--rule); }
th, td {
  text-align: left; padding: 8px 12px; border-bottom: 1px solid var(--rule); vertical-align: top; font-size: 14px;
}
th { color: var(--soft); font-weight: 600; }
td.value { white-space: nowrap; font-variant-numeric: tabular-nums; }
.tag { display: inline-block; padding: 1px 9px; border-radius: 99px; font-size: 12.5px; border: 1px solid; }
.tag.given, .tag.read { color: var(--good); }
.tag.estimated { color: var(--caution); } .tag.assumed { color: var(--poor); }
ul.notes { padding-left: 0; list-style: none; margin: 8px 0; }
ul.notes li {
  border-left: 4px solid var(--caution); background: var(--cautionpaper);
  padding: 8px 14px; margin: 0 0 8px; border-radius: 6px;
}
ul.also { color: var(--soft); padding-left: 20px; margin: 8px 0; }
.fine { color: var(--good); }
pre {
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px;
  overflow-x: auto; font-size: 13.5px;
}
.scroll { overflow-x: auto; }
footer {
  color: var(--soft); font-size: 13px; margin-top: 48px; border-top: 1px solid var(--rule); padding-top: 14px;
}
@media (max-width: 700px) { .pictures, .zooms { grid-template-columns: 1fr; } h1 { font-size: 26px; } }
@media print { body { background: #fff; } figure, table { break-inside: avoid; } }
"""
