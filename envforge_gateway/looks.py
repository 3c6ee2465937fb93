"""How the gateway's own pages look: one file, no request to anywhere (UI.md's words and colours)."""

import base64
import html
import os
from collections.abc import Sequence

_STYLE = """
:root{color-scheme:light dark;--ground:light-dark(#fbfbfa,#121416);--surface:light-dark(#fff,#191c1f);--line:light-dark(#e4e4e0,#2c3136);
--ink:light-dark(#1c1e21,#eceef0);--second:light-dark(#565b61,#a5acb3);--third:light-dark(#6b7177,#8b929a);--ember:light-dark(#c2410c,#fb923c);
--awake:light-dark(#15803d,#4ade80);--waking:light-dark(#a16207,#facc15);--danger:light-dark(#b91c1c,#f87171)}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:14px/1.5 system-ui,sans-serif;min-height:100vh;display:grid;place-items:center;padding:24px}
main{width:100%;max-width:480px;background:var(--surface);border:1px solid var(--line);border-radius:8px;padding:32px}
.brand{color:var(--ember);font-weight:600;margin:0 0 24px}h1{font-size:22px;line-height:1.3;margin:0 0 8px;font-weight:600}p{margin:0 0 16px;color:var(--second)}
p:last-child{margin-bottom:0}form{margin:24px 0 0}button,.button{display:inline-block;font:inherit;font-weight:600;color:var(--surface);background:var(--ink);border:0;border-radius:8px;padding:8px 16px;cursor:pointer;text-decoration:none}
a.quiet{color:var(--second)}:focus-visible{outline:2px solid var(--ink);outline-offset:2px}
ol{list-style:none;margin:24px 0 0;padding:0}li{display:flex;justify-content:space-between;gap:16px;padding:8px 0;border-top:1px solid var(--line)}
li span{color:var(--third)}li[data-state=done] span{color:var(--awake)}li[data-state=now] span{color:var(--waking)}li[data-state=failed] span{color:var(--danger)}
"""
STATES = {"done": "done", "now": "now", "later": "later", "failed": "failed"}


def page(
    title: str,
    sentences: Sequence[str],
    *,
    inner: str = "",
    script: str = "",
    forms_to: Sequence[str] = (),
    refresh_s: int | None = None,
) -> tuple[bytes, bytes]:
    """A page and its policy line. `inner` is HTML already; everything else is text.

    `forms_to`: origins a form of this page may lead to, redirects included.
    """
    nonce = base64.b64encode(os.urandom(16)).decode()
    told = "".join(f"<p>{html.escape(one)}</p>" for one in sentences)
    scripted = f'<script nonce="{nonce}">{script}</script>' if script else ""
    refresh = (
        f'<noscript><meta http-equiv="refresh" content="{refresh_s}"></noscript>'
        if refresh_s is not None
        else ""
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{html.escape(title)} · EnvForge</title>{refresh}<style nonce="{nonce}">{_STYLE}</style></head>'
        f'<body><main><p class="brand">EnvForge</p><h1>{html.escape(title)}</h1>{told}{inner}</main>{scripted}</body></html>'
    )
    leads = " ".join(forms_to) or "'none'"
    policy = (
        f"Content-Security-Policy: default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        f"form-action {leads}; base-uri 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy.encode()


def form(action: str, fields: dict[str, str], button: str) -> str:
    """A form of hidden fields and one button."""
    held = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    return f'<form id="go" method="post" action="{html.escape(action)}">{held}<button>{html.escape(button)}</button></form>'


def link(address: str, words: str) -> str:
    return f'<p><a class="quiet" href="{html.escape(address)}">{html.escape(words)}</a></p>'


def steps(given: Sequence[tuple[str, str]]) -> str:
    """The steps of a wake: words and state; filled in by the page's script as they change."""
    rows = "".join(
        f'<li data-state="{state}">{html.escape(words)}<span>{STATES[state]}</span></li>'
        for words, state in given
    )
    return f'<ol id="steps" aria-live="polite">{rows}</ol>'


# The page that passes a share link on: by script, or by its button; what unfurls links does neither.
CONTINUE = "document.getElementById('go').submit()"
PROGRESS = """
const list=document.getElementById('steps'),words=document.getElementById('words');let misses=0;
async function look(){let wait=1500;
 try{const r=await fetch('/.envforge/progress',{headers:{accept:'application/json'},cache:'no-store'});
  if(r.status===200){misses=0;const s=await r.json();
   if(s.state==='awake'||s.state==='refused'||s.state==='failed'){location.reload();return}
   if(words&&s.sentence&&words.textContent!==s.sentence)words.textContent=s.sentence;
   if(s.steps&&s.steps.length){const rows=s.steps.map(one=>{const li=document.createElement('li');li.dataset.state=one.state;
     li.append(one.words);const span=document.createElement('span');span.textContent=one.state;li.append(span);return li});list.replaceChildren(...rows)}
   wait=Math.min(Math.max(s.again_ms||1500,500),10000)}
  else if(r.status===503){wait=2000}else{location.reload();return}}
 catch{if(++misses>20)return;wait=3000}
 setTimeout(look,wait)}
setTimeout(look,800);
"""
