"""The rules of the pages' look, beside those that all pages of the suite share."""

STYLE = """
:root { --accent: #0a5cad; --soft: #f4f6f8; --same: #e4eefb; --ours: #b35309; --paper: #0072b2;
  --warn: #6b4a00; --warn-back: #fdf1d3; --bad: #8f1d1d; --bad-back: #fde3e1; --own-back: #fde9d4; }
@media (prefers-color-scheme: dark) {
  :root { --accent: #7cb8f5; --soft: #1f2327; --same: #1c3350; --ours: #f2a45c; --paper: #6fb7ea;
    --warn: #f0d28a; --warn-back: #3a2f12; --bad: #ffb4ab; --bad-back: #4a1d1a; --own-back: #45290e; }
}
body { max-width: 88rem; }
a { color: var(--accent); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
p, li { max-width: 50rem; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; border-radius: .4rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
nav { font-size: .95rem; }
.lead { font-size: 1.1rem; }
.muted, .sd, .none { color: var(--muted); }
.sd { font-size: .85em; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
.cards article { border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem; }
.cards h3 { margin: 0 0 .2rem; font-size: 1.15rem; }
.cards p { margin: .2rem 0; }
.cards ul { margin: .5rem 0 0; padding-left: 1.1rem; }
.badge { display: inline-block; border-radius: .7rem; padding: 0 .5rem; font-size: .75rem; line-height: 1.5;
  font-weight: 400; color: var(--warn); background: var(--warn-back); white-space: nowrap; }
.badge.own { color: var(--foreground); background: var(--own-back); }
.badge.bad { color: var(--bad); background: var(--bad-back); }
.charts { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; max-width: 46rem; min-width: 0; }
figcaption { font-size: .95rem; }
svg { display: block; width: 100%; height: auto; font-size: 12px; }
svg text { fill: var(--foreground); }
svg .name { font-size: 10.5px; fill: var(--muted); }
svg .rule { stroke: var(--line); stroke-width: .6; }
svg .tick { stroke: var(--muted); }
.point { fill: var(--paper); fill-opacity: .75; }
.point.others { fill: var(--background); stroke: var(--paper); stroke-width: 1.3; }
.point.ours, .point.run { fill: var(--ours); fill-opacity: 1; }
.point.run { fill: var(--background); stroke: var(--ours); stroke-width: 1.5; }
.point:hover, .point:focus-visible, .point.same {
  stroke: var(--foreground); stroke-width: 2; fill-opacity: 1; }
svg .away { display: none; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; font-size: .9rem; }
.legend svg { display: inline-block; width: 14px; height: 14px; vertical-align: -2px; }
form { display: grid; gap: .6rem; margin: 1rem 0 .6rem; align-items: end;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr)); }
form label { display: block; font-size: .85rem; color: var(--muted); }
form input, form select, form button { width: 100%; box-sizing: border-box; min-height: 2.2rem; font: inherit;
  font-size: .95rem; padding: .25rem .4rem; color: var(--foreground); background: var(--background);
  border: 1px solid var(--muted); border-radius: .3rem; }
form button { cursor: pointer; background: var(--soft); }
[hidden] { display: none; }
.status { min-height: 1.5em; margin: .4rem 0; }
.frame { border: 1px solid var(--line); border-radius: .4rem; }
#results { border-collapse: separate; border-spacing: 0; width: 100%; }
#results thead th { background: var(--soft); }
#results thead th { position: sticky; top: 0; z-index: 2; padding: .35rem .5rem; text-align: left; }
#results thead th[data-kind=number] { text-align: right; }
#results thead th:first-child { z-index: 3; left: 0; border-right: 1px solid var(--line); }
#results thead th:has(button) { padding: 0; }
thead button { display: block; width: 100%; padding: .35rem .5rem; font: inherit; font-weight: 600;
  cursor: pointer; color: inherit; background: none; border: 0; text-align: inherit; white-space: nowrap; }
thead button:hover { text-decoration: underline; }
th[aria-sort] button::after { content: " \\2195"; color: var(--muted); }
th[aria-sort=ascending] button::after { content: " \\2191"; color: var(--foreground); }
th[aria-sort=descending] button::after { content: " \\2193"; color: var(--foreground); }
#results tbody th { position: sticky; left: 0; z-index: 1; text-align: left; font-weight: 600;
  white-space: normal; min-width: 16rem; background: var(--background); border-right: 1px solid var(--line); }
tbody td a { color: inherit; text-decoration-color: var(--muted); }
tbody td.number { text-align: right; }
tbody td.words { white-space: normal; min-width: 6rem; max-width: 14rem; }
tbody td.source { white-space: normal; min-width: 30rem; }
tbody td.long { white-space: normal; min-width: 16rem; }
tr.ours > *, tr.run > * { box-shadow: inset 0 1px 0 var(--own-back), inset 0 -1px 0 var(--own-back); }
tr.ours > th, tr.run > th { box-shadow: inset 4px 0 0 var(--ours); }
#results tbody tr:hover > *, #results tr.same > * { background: var(--same); }
#results tbody tr:target > * { background: var(--warn-back); }
sup { line-height: 0; font-size: .7em; margin-left: .1em; }
.compare { font: inherit; font-size: .75rem; font-weight: 400; line-height: 1.5;
  padding: 0 .45rem; cursor: pointer;
  border: 1px solid var(--muted); border-radius: .7rem; background: none; color: var(--muted); }
.compare[aria-pressed=true] {
  background: var(--accent); color: var(--background); border-color: var(--accent); }
.notes { list-style: none; padding: 0; font-size: .9rem; }
.sources li { margin-bottom: .5rem; overflow-wrap: anywhere; }
:target { scroll-margin-top: 3rem; }
.sources li:target { background: var(--warn-back); }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .2rem 1rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (min-width: 701px) { .frame { max-height: 85vh; overflow-y: auto; } }
@media (max-width: 700px) {
  #results tbody th { min-width: 8.5rem; max-width: 9.5rem; overflow-wrap: anywhere; }
  #results tbody th .badge { white-space: normal; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
@media print { .frame { max-height: none; } form, .compare { display: none; } }
"""
