"""The style sheet of a report: the dashboard's colours in both themes, and the classes of the plots."""

import re

from stack.home import ROOT

SHEET = ROOT / "dashboard" / "static" / "dashboard.css"
DARK = "@media(prefers-color-scheme:dark)"
PLOTS = """
svg{display:block;width:100%;height:auto;font:13px var(--sans);font-variant-numeric:tabular-nums;overflow:visible}
text{fill:var(--ink)}text.note{fill:var(--soft)}text.middle{text-anchor:middle}text.end{text-anchor:end;fill:var(--soft)}
text.strong{font-weight:650}
.orchestrated{--c:var(--running)}.choreographed{--c:var(--undone)}.arrived{--c:var(--soft)}
.part0{--c:var(--done)}.part1{--c:var(--unanswered)}.part2{--c:var(--failed)}.part3{--c:var(--soft)}.part4{--c:var(--idle)}
.line{fill:none;stroke:var(--c);stroke-width:2.4;stroke-linejoin:round}.line.arrived{stroke-width:1.4}
.line.choreographed{stroke-dasharray:7 3.5}.key{stroke:var(--c);stroke-width:3}.key.choreographed{stroke-dasharray:7 2}
.key[class*=part]{stroke-width:10}
.bar{fill:var(--c)}.bar[class*=part]{stroke:var(--card)}.round{fill:var(--card);stroke:var(--ink)}
.range{stroke:var(--c);stroke-width:4}.range.choreographed{stroke-dasharray:7 3.5}.end{fill:var(--c)}
.grid{stroke:var(--line)}.axis{stroke:var(--soft)}text.small{font-size:11px}
"""
PAGE = """
*{box-sizing:border-box;margin:0}
body{font:15px/1.5 var(--sans);background:var(--bg);color:var(--ink);font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:28px 32px 64px}
h1{font-size:26px;letter-spacing:-.02em;line-height:1.25}h2{font-size:19px;letter-spacing:-.015em;margin:32px 0 4px}
p{max-width:76ch;color:var(--soft)}header p+p{margin-top:2px}
.notice{color:var(--ink);max-width:none;border-left:4px solid var(--s);background:var(--sb)}
.notice{border-radius:6px;padding:9px 14px;margin:16px 0}
.clean{--s:var(--done);--sb:var(--done-bg)}.broken{--s:var(--failed);--sb:var(--failed-bg)}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:18px;margin-top:14px}
figure,.wide{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:18px 22px 20px}
figcaption{margin-bottom:12px}figcaption b{display:block;font-weight:650}
figcaption span{color:var(--soft);font-size:14px}
figure svg{max-width:560px}
.wide{margin-top:14px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;white-space:nowrap}
th,td{text-align:right;padding:4px 0 4px 18px;border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:550}
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left;padding-left:0;padding-right:14px}
td:first-child{font-weight:600}tr.ratio td{color:var(--soft)}
td i{display:inline-block;width:16px;height:0;border-top:3px solid var(--c);vertical-align:middle;margin-right:7px}
td i.choreographed{border-top-style:dashed}
pre{font:12.5px/1.5 var(--mono)}summary{cursor:pointer;color:var(--soft)}
:focus-visible{outline:2px solid var(--running);outline-offset:2px}
@media(max-width:480px){main{padding:20px 14px 40px}figure,.wide{padding:14px 14px 16px}}
"""


def sheet() -> str:
    """Return the style sheet of a page that follows the browser's theme."""
    light, dark = _themes()
    return f":root{{{light}}}\n{DARK}{{:root{{{dark}}}}}{PLOTS}{PAGE}"


def plots_in(*, dark: bool) -> str:
    """Return the style sheet of plots alone, in one theme."""
    light, over = _themes()
    return f":root{{{light}{over if dark else ''}}}{PLOTS}"


def _themes() -> tuple[str, str]:
    """Return the dashboard's CSS variables: those of the light theme, and those that the dark one changes."""
    light, dark = (re.sub(r"\s+", "", each) for each in re.findall(r":root\{(.*?)\}", SHEET.read_text(), re.DOTALL))
    return f"{light};", f"{dark};"
