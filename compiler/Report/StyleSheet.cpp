#include "compiler/Report/StyleSheet.h"

namespace gcompile::html {

// Colours c0–c6 are the categories of memory, f0–f3 bits from few to many; both keep their
// lightness order in grey.
const char *const styleSheet = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#14171c;--soft:#5b6470;--line:#dfe3e8;--accent:#1463d6;
--c0:#2f6fde;--c1:#12a0a8;--c2:#6a54d6;--c3:#e08a1e;--c4:#c8428f;--c5:#64748b;--c6:#94a3b8;
--f0:#e2574c;--f1:#eba13a;--f2:#57a773;--f3:#3f7fd0;--warn:#b3261e;--ok:#1a7f4b}
@media (prefers-color-scheme:dark){:root{--bg:#0f1216;--card:#181c22;--ink:#e8ebef;--soft:#98a2af;--line:#2a313a;--accent:#7db2ff;
--c0:#5b92f0;--c1:#35bdc4;--c2:#9784f2;--c3:#f0a94a;--c4:#e573b2;--c5:#8291a6;--c6:#5f6d80;
--f0:#d9584e;--f1:#c98a2f;--f2:#3f8f5c;--f3:#3b72b8;--warn:#ff8a80;--ok:#5fd39a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
-webkit-text-size-adjust:100%}
main{max-width:1080px;margin:0 auto;padding:28px 20px 48px}
header h1{font-size:26px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
header p{margin:0;color:var(--soft);max-width:76ch}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px 22px;margin-top:18px}
h2{font-size:17px;margin:0 0 4px}
h2+p{margin-top:0}
p{margin:8px 0;max-width:84ch}
.soft,.note{color:var(--soft)}
.note{font-size:13px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(184px,1fr));gap:14px;margin-top:18px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.tile h3{margin:0;font-size:13px;font-weight:500;color:var(--soft)}
.tile strong{display:block;white-space:nowrap;font-size:25px;line-height:1.25;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile p{margin:2px 0 8px;font-size:13px;color:var(--soft)}
.mark{display:inline-block;font-size:11px;line-height:17px;padding:0 7px;border-radius:9px;border:1px solid currentColor;white-space:nowrap;
vertical-align:1px}
.counted{color:var(--c5)}.measured{color:var(--ok)}.published{color:var(--accent)}.modelled{color:var(--c3)}.assumed{color:var(--warn);border-style:dashed}
.stack{display:flex;height:30px;border-radius:7px;overflow:hidden;background:repeating-linear-gradient(135deg,var(--line) 0 2px,transparent 2px 8px);
border:1px solid var(--line);margin:14px 0 6px}
.stack span{display:block;min-width:1px}
.c0{background:var(--c0);fill:var(--c0)}.c1{background:var(--c1);fill:var(--c1)}.c2{background:var(--c2);fill:var(--c2)}
.c3{background:var(--c3);fill:var(--c3)}.c4{background:var(--c4);fill:var(--c4)}.c5{background:var(--c5);fill:var(--c5)}.c6{background:var(--c6);fill:var(--c6)}
.key{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:8px;vertical-align:-1px}
.scroll{overflow-x:auto;margin:10px -6px 0;padding:0 6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--soft);text-align:left;font-size:13px}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:baseline}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;white-space:nowrap}
td.name{overflow-wrap:anywhere}
td.date{white-space:nowrap}
tr.sum td{font-weight:600}
td:first-child{white-space:nowrap}
td.name{white-space:normal}
svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
svg text{fill:var(--soft)}
svg .strong{fill:var(--ink);font-weight:600}
svg .grid{stroke:var(--line)}
svg .axis{stroke:var(--soft)}
svg .budget{stroke:var(--warn);stroke-dasharray:5 4;stroke-width:1.5}
svg text.budget{fill:var(--warn);stroke:none}
svg .front{fill:none;stroke:var(--accent);stroke-width:2}
svg .band{fill:var(--accent);opacity:.12}
svg .dot{fill:var(--accent)}
svg .here{fill:var(--c3);stroke:var(--card);stroke-width:2}
svg .line{fill:none;stroke:var(--c3);stroke-width:1.5}
.wide svg{min-width:680px}
.map{border-collapse:separate;border-spacing:1px;width:auto;font:11px/18px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
.map th,.map td{border:0;padding:0}
.map th{padding-right:10px;font:13px/18px system-ui,"DejaVu Sans",sans-serif;white-space:nowrap;position:sticky;left:0;background:var(--card);color:var(--ink)}
.map thead td{color:var(--soft);text-align:left;width:14px;min-width:14px;overflow:visible;white-space:nowrap;max-width:14px}
.map tbody td{text-align:center;border-radius:3px;color:#fff;width:14px;min-width:14px;height:18px}
.map td.f0{background:var(--f0)}.map td.f1{background:var(--f1)}.map td.f2{background:var(--f2)}.map td.f3{background:var(--f3)}
.map td.none{background:transparent;color:var(--line)}
.map td.n{text-align:right;color:var(--soft);padding-left:10px;background:none;width:auto;font:13px/18px system-ui,"DejaVu Sans",sans-serif}
.map tr.bits td{vertical-align:bottom;height:44px;color:var(--soft)}
.map tr.bits i{display:block;background:var(--c5);border-radius:3px 3px 0 0;opacity:.75}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:13px;color:var(--soft);margin:12px 0 0;padding:0;list-style:none}
.legend b{display:inline-block;min-width:18px;text-align:center;border-radius:3px;color:#fff;font:11px/18px ui-monospace,"DejaVu Sans Mono",monospace;margin-right:6px}
.legend .f0{background:var(--f0)}.legend .f1{background:var(--f1)}.legend .f2{background:var(--f2)}.legend .f3{background:var(--f3)}
details{margin-top:12px}
summary{cursor:pointer;color:var(--accent)}
pre{overflow:auto;max-height:460px;background:var(--bg);border:1px solid var(--line);border-radius:8px;padding:12px;
font:12px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;margin:10px 0 0}
code{font:13px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:22px;color:var(--soft);font-size:13px}
@media (max-width:560px){main{padding:18px 12px 32px}section{padding:16px 14px}.tile strong{font-size:22px}.account td:nth-child(4),.account th:nth-child(4),.two td:nth-child(5),.two th:nth-child(5){display:none}}
@media print{body{background:#fff}section,.tile{break-inside:avoid}details:not([open]){display:none}}
)css";

} // namespace gcompile::html
