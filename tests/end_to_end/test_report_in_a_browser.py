"""Reports in headless Chromium, through its DevTools protocol; tornado, which distributed needs, speaks it."""

import asyncio
import base64
import io
import json
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prunecheck.report.contents import contents_of_runs
from prunecheck.report.page import report_html
from prunecheck.runs.index import find_runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")

PATIENCE = 60.0

OWN = [90.0, 91.0, 89.5]
CHECKS = ("random-labels@0.25", "random-labels", "rearrange-mask", "corrupted-data+rearrange-mask+reinit", "reinit")
LONG = "criterion-with-a-name-that-no-column-has-room-for.py:and_a_long_function"


class Tab:
    """A tab of the browser, and what it has reported so far."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._count = 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._count += 1
        await self._socket.write_message(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            message = await self._next()
            if message.get("id") == self._count:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    async def until(self, method: str) -> None:
        """Wait for an event."""
        while not any(event["method"] == method for event in self.events):
            self.events.append(await self._next())

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self._socket.read_message(), PATIENCE))
        return message

    async def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives, which the page itself has none of."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def reported(self, *methods: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event["method"] in methods]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a browser and return the port of its protocol."""
    options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-sandbox", "--no-first-run"]
    options += ["--disable-background-networking", "--remote-debugging-port=0", "--remote-allow-origins=*"]
    options += [f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "about:blank"]
    process = subprocess.Popen([str(CHROMIUM), *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        for line in process.stderr:
            if found := re.search(r"DevTools listening on ws://[^:]+:(\d+)/", line):
                yield int(found[1])
                break
        else:
            pytest.fail("Chromium ended before it listened")
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stderr.close()


Look = Callable[[Path, Callable[[Tab], Awaitable[Any]]], Any]


@pytest.fixture
def look(browser: int) -> Look:
    """Open a page in a tab of its own, and do something there."""

    async def opened(page: Path, do: Callable[[Tab], Awaitable[Any]]) -> Any:
        from tornado.httpclient import AsyncHTTPClient
        from tornado.websocket import websocket_connect

        url = f"http://127.0.0.1:{browser}/json/new?about:blank"
        answer = await AsyncHTTPClient().fetch(url, method="PUT", body="")
        socket = await websocket_connect(json.loads(answer.body)["webSocketDebuggerUrl"], max_message_size=2**28)
        tab = Tab(socket)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.call(f"{domain}.enable")
        await tab.call("Page.navigate", url=page.as_uri())
        await tab.until("Page.loadEventFired")
        try:
            return await do(tab)
        finally:
            await tab.call("Page.close")
            socket.close()

    return lambda page, do: asyncio.run(opened(page, do))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, record: Callable[..., None]) -> Path:
    """A report with everything in it that may be wide, long or missing."""
    root = tmp_path_factory.mktemp("runs")
    runs: dict[tuple[str, float, str | None], list[Any]] = {("dense", 0.0, None): [95.0, 95.5, 94.8]}
    for method in ("snip", LONG, "random-smart"):
        for sparsity in (0.9, 0.95, 0.99):
            runs[method, sparsity, None] = [value - 10 * (sparsity - 0.9) for value in OWN]
    for sparsity in (0.9, 0.95, 0.99):
        for cost, check in enumerate(CHECKS):
            runs["snip", sparsity, check] = [90 - 3.0 * cost, 91 - 2.5 * cost, "collapsed" if cost == 4 else 89.6]
            runs[LONG, sparsity, check] = ["collapsed", "failed", 60.0] if cost == 2 else OWN
    record(root, runs)
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(report_html(contents_of_runs(find_runs([root]), 2.0, "random-smart"), "prunecheck report runs"))
    return file


OVERLAPS = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const inner = svg.viewBox.baseVal, texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBBox()]);
  const out = texts.filter(([, b]) => b.x < -1 || b.x + b.width > inner.width + 1 || b.y + b.height > inner.height + 1);
  const pairs = texts.flatMap(([a, p], i) => texts.slice(i + 1).filter(([, q]) =>
    Math.min(p.x + p.width, q.x + q.width) - Math.max(p.x, q.x) > 1 &&
    Math.min(p.y + p.height, q.y + q.height) - Math.max(p.y, q.y) > 5).map(([b]) => a + ' | ' + b));
  const name = svg.querySelector('title').textContent;
  return [...out.map(([t]) => name + ': outside: ' + t), ...pairs.map(pair => name + ': overlap: ' + pair)];
})
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_it_fits_any_screen_in_light_and_dark(look: Look, page: Path, tmp_path: Path, width: int, scheme: str) -> None:
    async def do(tab: Tab) -> bytes:
        phone = width < 500
        await tab.call("Emulation.setScrollbarsHidden", hidden=True)
        await tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert await tab.value("document.documentElement.scrollWidth") == width
        assert await tab.value(OVERLAPS) == []
        assert await tab.value("Math.min(...[...document.querySelectorAll('svg')].map(s => s.clientWidth))") >= 340
        image = await tab.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(image["data"])

    from PIL import Image

    image = Image.open(io.BytesIO(look(page, do))).convert("L")
    assert image.width == width
    shades = image.histogram()
    background = max(range(256), key=shades.__getitem__)
    assert (background > 240) == (scheme == "light")
    assert (background < 40) == (scheme == "dark")
    ink = sum(shades[:90]) if scheme == "light" else sum(shades[170:])
    assert ink > 0.01 * sum(shades)


def test_a_thousand_runs_stay_readable(look: Look, tmp_path: Path, record: Callable[..., None]) -> None:
    runs: dict[tuple[str, float, str | None], list[float]] = {("dense", 0.0, None): [95.0, 94.0]}
    shares = [None, *(f"random-labels@{share / 100:g}" for share in range(10, 100, 10))]
    for method in (f"random-erk-{number}" for number in range(8)):
        for step in range(10):
            checks = shares if method.endswith("0") else shares[:5]
            runs |= {(method, round(0.99 - 0.05 * step, 2), check): [80 + step, 79.5 + step] for check in checks}
    record(tmp_path / "runs", runs)
    file = tmp_path / "report.html"
    file.write_text(report_html(contents_of_runs(find_runs([tmp_path / "runs"]), 2.0, "none"), "report runs"))

    async def do(tab: Tab) -> tuple[list[str], list[float]]:
        await tab.call("Emulation.setDeviceMetricsOverride", width=390, height=900, deviceScaleFactor=1, mobile=True)
        heights: list[float] = await tab.value("[...document.querySelectorAll('svg')].map(s => s.clientHeight)")
        overlaps: list[str] = await tab.value(OVERLAPS)
        return overlaps, heights

    overlaps, heights = look(file, do)
    assert overlaps == []
    assert max(heights) < 1200
    assert len(heights) > 50


def test_nothing_is_loaded_and_nothing_goes_wrong(look: Look, page: Path) -> None:
    async def do(tab: Tab) -> Tab:
        for link in range(await tab.value("document.querySelectorAll('summary').length")):
            await tab.value(f"document.querySelectorAll('summary')[{link}].click()")
        await tab.call("Page.captureScreenshot", captureBeyondViewport=True)
        return tab

    tab = look(page, do)
    requested = [event["request"]["url"] for event in tab.reported("Network.requestWillBeSent")]
    assert requested
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
    assert tab.reported("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []


def test_the_watch_for_errors_and_requests_sees_them(look: Look, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text('<!DOCTYPE html><img src="http://127.0.0.1:9/x.png"><script>nothing()</script>')

    async def do(tab: Tab) -> Tab:
        await tab.call("Page.captureScreenshot")
        return tab

    tab = look(broken, do)
    assert any(event["request"]["url"].startswith("http:") for event in tab.reported("Network.requestWillBeSent"))
    assert tab.reported("Runtime.exceptionThrown")


def test_print_shows_the_numbers_that_the_screen_folds_away(look: Look, page: Path) -> None:
    heights = "[...document.querySelectorAll('details table')].map(t => t.checkVisibility() ? t.offsetHeight : 0)"

    async def do(tab: Tab) -> tuple[list[int], list[int], bytes]:
        folded = await tab.value(heights)
        await tab.call("Emulation.setEmulatedMedia", media="print")
        shown = await tab.value(heights)
        await tab.call("Emulation.setEmulatedMedia", media="")
        printed = await tab.call("Page.printToPDF", preferCSSPageSize=True)
        return folded, shown, base64.b64decode(printed["data"])

    folded, shown, pdf = look(page, do)
    assert set(folded) == {0}
    assert min(shown) > 20
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext, of poppler, is not installed")
def test_on_paper_the_first_page_stands_alone_and_no_heading_is_left_behind(look: Look, page: Path) -> None:
    titles = "[...document.querySelectorAll('h2, h3, .lead')].map(e => e.textContent.replace(/\\s+/g, ' ').trim())"

    async def do(tab: Tab) -> tuple[list[str], bytes]:
        printed = await tab.call("Page.printToPDF", preferCSSPageSize=True)
        return await tab.value(titles), base64.b64decode(printed["data"])

    headings, pdf = look(page, do)
    text = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()
    pages = [" ".join(one.split()) for one in text.split("\f")[:-1]]
    first, last = pages[0], pages[-1]
    assert "Verdicts at a glance" in first
    assert "What each change costs" not in first
    assert not [title for title in headings for one in pages[:-1] if one.endswith(title)]
    assert last.endswith("as arXiv:2009.11094 does.")
    assert not any("All 144 runs" in one or "random-smart-0.99-seed2" in one for one in pages[:-3])


def test_names_with_markup_are_shown_and_not_run(look: Look, tmp_path: Path, record: Callable[..., None]) -> None:
    name = "<img src=x onerror=alert(1)>"
    record(tmp_path / "runs", {(name, 0.9, None): OWN, (name, 0.9, "reinit"): OWN})
    file = tmp_path / "report.html"
    file.write_text(report_html(contents_of_runs(find_runs([tmp_path / "runs"]), 2.0, "none"), f"report {name}"))

    async def do(tab: Tab) -> tuple[Tab, Any, Any]:
        images = "document.images.length"
        return tab, await tab.value(images), await tab.value("document.querySelector('h1').textContent")

    tab, images, heading = look(file, do)
    assert (images, heading) == (0, f"What {name} uses")
    assert tab.reported("Page.javascriptDialogOpening", "Log.entryAdded") == []


def test_a_check_ends_with_a_report_that_says_what_its_table_says(finished: Any, look: Look) -> None:
    file = finished.folder / "runs" / "report.html"

    async def do(tab: Tab) -> list[str]:
        cells: list[str] = await tab.value(
            "[...document.querySelector('#verdicts table').querySelectorAll('tbody tr')]"
            ".map(row => row.textContent.replace(/\\s+/g, ' '))"
        )
        return cells

    rows = look(file, do)
    assert file.stat().st_size < 1_500_000
    assert "wrote runs/report.html" in finished.table.stderr.splitlines()[-1]
    for ticket in ("rearrange-mask", "random-smart"):
        (line,) = [line for line in finished.table.stdout.splitlines() if re.match(rf" +{ticket} ", line)]
        (row,) = [row for row in rows if row.strip().startswith(ticket)]
        for number in re.findall(r"[+-]?\d+\.\d\d", line):
            assert number in row
