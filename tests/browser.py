"""Headless Chromium for the tests of the status page: driven by selenium, looking at one page."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["CHROMEDRIVER", "CHROMIUM", "DARK", "LIGHT", "Browser", "chromium"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
LIGHT, DARK = "light", "dark"
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
#: What every script of a test may use.
_PRELUDE = """
const [x, y, z] = arguments;
const all = (css) => [...document.querySelectorAll(css)];
const text = (css) => document.querySelector(css)?.textContent ?? '';
const node = (side, name) => all(`#${side} .node`).find((each) => each.children[0].textContent === name);
const facts = (node) => [...(node?.children[1].children ?? [])].map((each) => each.textContent);
const asked = () => performance.getEntriesByType('resource').length;
"""
#: Nodes and totals that overlap each other, stick out of their frame, or whose text sticks out of them.
_OVERLAPS = """
const found = [];
const boxes = all('.node, .total').map((each) => [each, each.getBoundingClientRect()]);
for (const [each, box] of boxes) {
  const frame = each.closest('.picture, .totals').getBoundingClientRect();
  if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`outside: ${each.textContent}`);
  if (box.bottom > frame.bottom + 1) found.push(`below: ${each.textContent}`);
  if (each.scrollWidth > each.clientWidth + 1) found.push(`inside: ${each.textContent}`);
  for (const [other, its] of boxes) {
    const beside = box.left >= its.right - 1 || its.left >= box.right - 1;
    const above = box.top >= its.bottom - 1 || its.top >= box.bottom - 1;
    if (each !== other && !beside && !above) found.push(`${each.textContent} / ${other.textContent}`);
  }
}
const wider = document.documentElement.scrollWidth - window.innerWidth;
return wider > 0 ? [`the page is ${wider} px too wide`, ...found] : found;
"""
#: How many elements have text of their own, and those with less contrast than WCAG's level AA: 4.5 to 1.
_CONTRAST = """
const parse = (color) => {
  const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
  return { rgb: [r, g, b], a };
};
const over = (top, under) => ({ rgb: top.rgb.map((v, i) => v * top.a + under.rgb[i] * (1 - top.a)), a: 1 });
const linear = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
const luminance = ({ rgb }) => rgb.map(linear).reduce((l, v, i) => l + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), { rgb: [255, 255, 255], a: 1 });
};
const own = (each) => [...each.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
const texts = all('body *').filter((each) => !each.closest('.unseen, [hidden], script, svg') && own(each));
const weak = [];
for (const each of texts) {
  const style = getComputedStyle(each);
  const under = behind(each);
  const [a, b] = [over(parse(style.color), under), under].map(luminance).sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const faded = Number(style.opacity) < 1 ? ', faded' : '';
  if (ratio < 4.5 || faded) weak.push(`${each.textContent.slice(0, 40)}: ${ratio.toFixed(2)}${faded}`);
}
return [texts.length, weak];
"""


class Browser:
    """Headless Chromium.

    Scripts see their arguments as `x`, `y`, `z`, and the functions of `_PRELUDE`.
    """

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for switch in (*_SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        self.driver.set_script_timeout(20)

    def look(self, width: int = 1200, height: int = 900, scheme: str = LIGHT, motion: str = "reduce") -> None:
        """What the browser says of its window and of its user."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, url: str) -> None:
        """Open a page as if for the first time, and wait until it shows rates."""
        self.driver.get(url)
        self.run("localStorage.clear()")
        self.driver.refresh()
        self.wait("return text('[data-total=in] .value').endsWith('/s')")

    def forget(self) -> None:
        """Leave the page, and what is known of it."""
        self.driver.get("about:blank")
        self.complaints()
        self.requested()

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(_PRELUDE + script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """Run a script until what it returns is true; returns that."""
        deadline = time.monotonic() + 20
        while not (found := self.run(script, *arguments)):
            assert time.monotonic() < deadline, (script, self.run("return document.body.innerText"))
            threading.Event().wait(0.02)
        return found

    def wait_status(self, status: str) -> None:
        """Wait until the page says that of the bridge."""
        self.wait("return text('#status') === x", status)

    def wait_asked(self, times: int) -> None:
        """Wait until the page has asked the bridge so often again."""
        self.wait("return asked() >= x", self.run("return asked()") + times)

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def nodes(self, side: str) -> dict[str, list[str]]:
        """The picture's "publishers", "types" or "subscribers": their names, and what is said of each."""
        found = self.run(
            "return all(`#${x} .node`).map((each) => [each.children[0].textContent, facts(each)])", side
        )
        return dict(found)

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a table ("workers", "connections", "types") by its columns' titles."""
        return self.run(
            """const titles = all(`#${x}-table thead th`).map((each) => each.textContent);
               const row = (cells) => cells.map((cell, index) => [titles[index], cell.textContent]);
               return all(`#${x}-table tbody tr`).map((each) => Object.fromEntries(row([...each.cells])))""",
            name,
        )

    def focused(self) -> str:
        """What has the focus: the name of a node, the id of another element, or its text."""
        return self.run(
            "const at = document.activeElement;"
            "return at.classList.contains('node') ? at.children[0].textContent : at.id || at.textContent"
        )

    def overlaps(self) -> list[str]:
        """What does not fit where it stands."""
        return self.run(_OVERLAPS)

    def contrast(self) -> tuple[int, list[str]]:
        """How many elements have text, and those that are hard to read."""
        return self.run(_CONTRAST)

    def complaints(self) -> list[str]:
        """What the console says since the last time."""
        return [each["message"] for each in self.driver.get_log("browser")]

    def requested(self) -> set[str]:
        """Where requests went to since the last time."""
        found = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.add(message["params"]["request"]["url"])
        return found

    def picture(self, path: Path) -> None:
        """A picture of the window, as PNG."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a new profile."""
    # (What Chromium writes last, it writes while the directory is removed.)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(Path(profile))
        try:
            yield browser
        finally:
            browser.driver.quit()
