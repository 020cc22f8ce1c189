"""`python -m tests.journeys.pictures FOLDER`: the page in pictures, from a Wharfinger of its own.

Into docs/ go page-{1280,360}-{light,dark}.png; with a FOLDER, every state in every size, to be looked at by whoever
changes how the page looks.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect

from tests.journeys.conftest import ROOT, Wharf, start_wharf
from tests.journeys.page.browser import Visit, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"
LOOKS = ((1280, "light"), (1280, "dark"), (360, "light"), (360, "dark"))
# One job stays half way for a minute, and another one waits behind it; nobody waits for them at the end.
SETTINGS = {"UPLOADS_PROCESSORS": "voyage=tests.journeys.voyage", "UPLOADS_STOP_GRACE": "1", "WORKERS": "1"}
ALL_LOOKS = (*LOOKS, (320, "light"), (3840, "dark"))


def photo() -> bytes:
    """A harbour, more or less."""
    picture = Image.new("RGB", (1200, 800), "#8fb7c9")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 480, 1200, 800), fill="#2f6f86")
    draw.polygon([(380, 520), (860, 520), (800, 620), (440, 620)], fill="#7c2f22")
    draw.rectangle((560, 440, 700, 520), fill="#f2efe6")
    draw.line((630, 240, 630, 440), fill="#333333", width=8)
    draw.polygon([(640, 260), (640, 420), (780, 420)], fill="#fbfaf5")
    draw.ellipse((960, 90, 1080, 210), fill="#f5d987")
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def bill() -> bytes:
    sheet = Image.new("RGB", (620, 877), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((60, 60), "BILL OF LADING", fill="#111111", font_size=34)
    for line in range(18):
        draw.rectangle((60, 150 + 34 * line, 560 - 37 * (line % 4), 158 + 34 * line), fill="#c9cfd1")
    out = io.BytesIO()
    sheet.save(out, "PDF", title="Bill of lading")
    return out.getvalue()


def crates() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("salt.txt", "cloth/linen.txt", "cloth/wool.txt", "manifest.json"):
            archive.writestr(f"crates/{name}", name * 40)
    return out.getvalue()


LEDGER = "ship,arrived,tonnes,pier\n" + "".join(
    f"{ship},2026-05-{day:02},{day * 137 % 900 + 40},{day % 5 + 1}\n"
    for day, ship in enumerate(["Ada", "Bremen", "Cormoran", "Dorothea", "Elbe", "Frisia"] * 4, 1)
)
FILES = [
    ("crates.zip", crates()), ("manifest.json", json.dumps({"port": "Bremen", "crates": 4}).encode()),
    ("Bill of lading.pdf", bill()), ("ledger 2026.csv", LEDGER.encode()), ("harbour.jpg", photo()),
    ("half a photo.jpg", photo()[:9000]),
]  # fmt: skip


@contextmanager
def instance() -> Iterator[Wharf]:
    folder = Path(tempfile.mkdtemp())
    wharf = start_wharf(folder / "data", **SETTINGS)
    try:
        yield wharf
    finally:
        wharf.stop()
        shutil.rmtree(folder, ignore_errors=True)


def look(visit: Visit, width: int, scheme: str) -> None:
    """Show the page as somebody with such a window and taste sees it."""
    visit.page.set_viewport_size({"width": width, "height": 800 if width < 500 else 900})
    visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]


def shoot(visit: Visit, path: Path, *, whole: bool = True) -> None:
    visit.page.evaluate("document.activeElement.blur()")
    visit.page.screenshot(path=path, full_page=whole)
    with Image.open(path) as picture:  # 256 colours are enough for a page, and a third of the bytes
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def fill(visit: Visit) -> Page:
    """Everything a page can show at once: done, failed, working, waiting, and one card open."""
    page = visit.page
    for one in FILES:
        visit.send(one)
        expect(visit.row(one[0]).locator(".state")).to_have_text("Done" if "half" not in one[0] else "Failed")
    visit.send(("voyages.txt", b"Long."))
    expect(visit.row("voyages.txt").get_by_role("progressbar")).to_be_visible()
    visit.send(("tides.txt", b"High at noon."))
    expect(visit.row("tides.txt").locator(".state")).to_have_text("Next in line, less than a minute")
    visit.row("ledger 2026.csv").get_by_text("Result").click()
    return page


def states(visit: Visit) -> Iterator[str]:
    """Bring the page into one state after the other; yields the name of each."""
    page = visit.page
    yield "empty"
    fill(visit)
    yield "list"
    for name in ("harbour.jpg", "Bill of lading.pdf", "crates.zip", "manifest.json"):
        visit.row(name).get_by_text("Result").click()
    yield "cards"
    page.reload()
    page.locator("#rows input[name=job]").nth(1).check()
    page.locator("#rows input[name=job]").nth(2).check()
    yield "chosen"
    page.locator("#delete-many").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "dialog"
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No upload matches.")).to_be_visible()
    yield "nothing-found"
    page.goto("/jobs/download/")
    expect(page.get_by_text("None of these has a file to download.")).to_be_visible()
    yield "refused"
    page.goto("/nowhere/")
    yield "404"
    visit.context.clear_cookies()
    page.goto("/login/")
    page.get_by_label("User name").fill("olive")
    page.get_by_label("Password").fill("guess")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "login"


def begin(browser: Browser, wharf: Wharf, **options: Any) -> Visit:
    visit = Visit.begin(browser, wharf, viewport={"width": 1280, "height": 900}, **options)
    visit.sign_in(wharf.username, wharf.password)
    return visit


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with instance() as wharf, chromium() as browser:
        visit = begin(browser, wharf)
        if folder is None:
            fill(visit)
            for width, scheme in LOOKS:
                look(visit, width, scheme)
                shoot(visit, DOCS / f"page-{width}-{scheme}.png")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            for state in states(visit):
                for width, scheme in ALL_LOOKS:
                    look(visit, width, scheme)
                    whole = width < 3000 and state not in (
                        "chosen",
                        "dialog",
                    )  # what sticks or floats belongs to a window
                    shoot(visit, folder / f"{state}-{width}-{scheme}.png", whole=whole)
                look(visit, 1280, "light")
        visit.context.close()


if __name__ == "__main__":
    main()
