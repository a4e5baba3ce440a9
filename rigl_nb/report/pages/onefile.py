"""The report as one file: its page with everything inside, and the same page on paper."""

import base64
import itertools
import mimetypes
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FONTS = {  # of matplotlib, so that paper looks the same everywhere
    "STIXGeneral": "normal normal",
    "STIXGeneralBol": "bold normal",
    "STIXGeneralItalic": "normal italic",
    "STIXGeneralBolIta": "bold italic",
}


def chromium() -> str | None:
    """Return the path of a Chromium; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def pdf(page: Path, target: Path) -> bool:
    """Print a page that is a single file, with the styles that it has for paper; False without a Chromium.

    Raises RuntimeError with what the browser says when it makes no file.
    """
    if (browser := chromium()) is None:
        return False
    with tempfile.TemporaryDirectory(prefix="rigl-") as scratch:
        sheet = Path(scratch, "paper.html")
        text = page.read_text(encoding="utf-8").replace("</head>", f"<style>{_faces()}</style></head>", 1)
        sheet.write_text(text, encoding="utf-8")
        command = [browser, "--headless", "--disable-gpu", f"--user-data-dir={scratch}/profile"]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to run as root with one
        command += ["--virtual-time-budget=60000", "--no-pdf-header-footer", f"--print-to-pdf={target}"]
        done = subprocess.run([*command, sheet.as_uri()], capture_output=True, text=True, errors="replace", timeout=300)
    if not target.exists():
        raise RuntimeError(f"{browser} made no {target.name} (exit code {done.returncode}): {done.stderr[-500:]}")
    return True


def _faces() -> str:
    import matplotlib

    rules = []
    for name, look in FONTS.items():
        weight, style = look.split()
        source = _data(Path(matplotlib.get_data_path(), "fonts", "ttf", "any"), f"{name}.ttf")
        rules.append(f"@font-face{{font-family:STIXGeneral;font-weight:{weight};font-style:{style};src:url({source})}}")
    return "".join(rules)


def inline(page: Path) -> str:
    """Return a page of `singlehtml` with its styles, scripts, fonts and images inside."""

    def style(tag: re.Match) -> str:
        sheet = _sheet(_local(page, re.search(r'href="([^"]+)"', tag[0])[1]))
        return f"<style>{sheet}</style>"

    def script(tag: re.Match) -> str:
        code = _local(page, tag[1]).read_text(encoding="utf-8").replace("</script", r"<\/script")
        return f"<script>{code}</script>"

    html = _raised(_distinct(page.read_text(encoding="utf-8")))
    html = re.sub(r'<link[^>]*rel="(?:preload|index|search|next|prev|author|copyright)"[^>]*>', "", html)
    html = re.sub(r'<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^>]*></script>', "", html)
    html = re.sub(r'<dialog id="pst-search-dialog">.*?</dialog>', "", html, flags=re.DOTALL)
    html = re.sub(r'<link[^>]*rel="stylesheet"[^>]*>', style, html)
    html = re.sub(
        r'(<(?:img|link)\b[^>]*?(?:src|href)=")(?!data:|https?:)([^"]+)"',
        lambda m: f'{m[1]}{_data(page, m[2])}"',
        html,
    )
    html = re.sub(r'href="[\w/.-]*\.html(#[^"]*)?"', lambda m: f'href="{m[1] or "#"}"', html)
    return re.sub(r'<script[^>]*\bsrc="(?!https?:)([^"]+)"[^>]*></script>', script, html)


def _sheet(path: Path) -> str:
    css = re.sub(
        r"""@import (?:url\()?["']([^"']+)["']\)?;""",
        lambda m: _sheet(_local(path, m[1])),
        path.read_text(encoding="utf-8"),
    )
    return re.sub(r"""url\(\s*["']?(?!data:|#)([^)"']+)["']?\s*\)""", lambda m: f"url({_data(path, m[1])})", css)


def _distinct(html: str) -> str:
    """Give sections of the same heading ids of their own; their links, and the contents, follow."""
    html = re.sub(r'href="#document-[^"#]+#', 'href="#', html)
    for name, total in Counter(re.findall(r'<section[^>]* id="([^"]+)"', html)).items():
        if total > 1:
            for start in (r'<section[^>]* id="', r'class="headerlink" href="#', r'nav-link" href="#'):
                turns = itertools.cycle(range(1, total + 1))
                places = re.compile(f'({start}{re.escape(name)})"')
                html = places.sub(lambda place, turns=turns: f'{place[1]}-{next(turns)}"', html)
    return html


def _raised(html: str) -> str:
    """Make the pages sections of the whole, not of the front page's contents: one level of headings less."""
    front, mark, rest = html.partition('<section id="contents">')
    rest = re.sub(r"<h2>Contents<a.*?</h2>", "", rest, count=1)
    return front + mark + re.sub(r"(</?h)([3-6])\b", lambda tag: f"{tag[1]}{int(tag[2]) - 1}", rest)


def _local(base: Path, reference: str) -> Path:
    return base.parent / re.split("[?#]", reference)[0]


def _data(base: Path, reference: str) -> str:
    path = _local(base, reference)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
