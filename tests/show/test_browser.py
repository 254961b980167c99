"""The page in a real browser: it draws, it works, it can be read, and it asks the network for nothing."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.show.facts import Comparison
from assay.show.files import save_html

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)
CONTRAST = """
// Every visible text whose contrast with what is behind it is under 4.5 (3 where it is large), as WCAG 2 computes it.
const parse = (colour) => {
  const parts = colour.match(/[\\d.]+/g).map(Number);
  const scale = colour.startsWith("color(srgb") ? 255 : 1;
  return [...parts.slice(0, 3).map((c) => c * scale), parts[3] ?? 1];
};
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = parse(getComputedStyle(element).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return [255, 255, 255, 1];
};
const poor = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const said = walker.currentNode.textContent.trim();
  if (!said || !element.checkVisibility() || element.closest("script, style")) continue;
  const style = getComputedStyle(element);
  const inDrawing = element.closest("svg") !== null;
  const text = parse(inDrawing ? style.fill : style.color);
  const [a, b] = [luminance(text), luminance(behind(element))].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  if ((a + 0.05) / (b + 0.05) < needed) poor.push(`${element.className} ${said.slice(0, 30)}`);
}
return poor;
"""

SHOWN = """
const found = [...document.querySelectorAll(arguments[0])];
return found.filter((element) => element.checkVisibility()).map((element) => element.id || element.innerText);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install 'assay[test]'")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        reason = "no Chromium with its chromedriver is installed: apt-get install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = selenium.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a comparison's page and waits until it is drawn; whatever the console says is a failure."""

    def open_page(comparison: Comparison, *, phone: bool = False) -> Any:
        save_html(comparison, tmp_path / "page.html")
        if phone:
            size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get((tmp_path / "page.html").as_uri())
        wait_for(lambda: browser.execute_script("return document.documentElement.dataset.ready === 'true'"))
        return browser

    browser.get_log("browser")
    yield open_page
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("the page did not get there in time")


def count(browser: Any, selector: str) -> int:
    found: int = browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector)
    return found


def shown(browser: Any, selector: str) -> list[str]:
    found: list[str] = browser.execute_script(SHOWN, selector)
    return found


def click(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def test_every_page_loads_and_fits(any_comparison: Comparison, opened: Callable[..., Any]) -> None:
    page = opened(any_comparison)
    assert count(page, "#contestants tbody tr") == len(any_comparison.contestants)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    assert count(page, "img") == 0
    assert page.title.endswith("assay")


@pytest.mark.parametrize("name", ["failures", "hostile"])
def test_a_phone_need_not_scroll_sideways(
    sample: Callable[[str], Comparison], opened: Callable[..., Any], name: str
) -> None:
    page = opened(sample(name), phone=True)
    assert page.execute_script("return innerWidth") == 390
    assert page.execute_script("return document.documentElement.scrollWidth") == 390


def test_curves_boxes_and_bars_are_drawn(sample: Callable[[str], Comparison], opened: Callable[..., Any]) -> None:
    page = opened(sample("failures"))
    assert count(page, "#plot-loss .scatterlayer path.js-line") == 11
    assert count(page, "#plot-distance .scatterlayer path.js-line") == 10
    assert count(page, "#plot-samples-train-64 .boxlayer path.box") == 10
    assert count(page, "#plot-samples-infer-1 .boxlayer path.box") == 9
    assert count(page, "#plot-samples-train-64 .boxlayer .points path") == 200
    assert count(page, "#plot-cold-start .barlayer .point") == 30
    assert page.execute_script("return document.querySelector('#plot-loss .js-line').getBBox().width") > 300


def test_tabs_and_columns_of_code(sample: Callable[[str], Comparison], opened: Callable[..., Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    page = opened(sample("all"))
    assert shown(page, "[role=tabpanel]") == ["panel-1"]
    assert len(shown(page, "#panel-1 .file")) == 2, "two frameworks side by side"
    place = "(e) => e.getBoundingClientRect().top"
    tops = page.execute_script(f"return [...document.querySelectorAll('#panel-1 .file:not([hidden])')].map({place})")
    assert tops[0] == tops[1]
    click(page, ".targets button[data-target='4']")
    assert len(shown(page, "#panel-1 .file")) == 3
    click(page, "#tab-2")
    assert shown(page, "[role=tabpanel]") == ["panel-2"]
    assert len(shown(page, "#panel-2 .file")) == 3
    assert page.execute_script("return document.querySelector('#panel-2 code').textContent").startswith('"""Trains')
    tab = page.find_element("id", "tab-2")
    tab.send_keys(Keys.ARROW_RIGHT)
    assert page.switch_to.active_element.get_attribute("id") == "tab-1"
    assert shown(page, "[role=tabpanel]") == ["panel-1"]


def test_a_phone_shows_one_column_of_code(sample: Callable[[str], Comparison], opened: Callable[..., Any]) -> None:
    page = opened(sample("all"), phone=True)
    assert len(shown(page, "#panel-1 .file")) == 1


def test_the_code_can_be_copied_as_it_is(sample: Callable[[str], Comparison], opened: Callable[..., Any]) -> None:
    found = sample("one framework")
    page = opened(found)
    text = page.execute_script("return document.querySelector('.file code').textContent")
    assert text + "\n" == found.code[0].files[0].text


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["failures", "fourteen", "interrupted"])
def test_every_text_can_be_read(
    sample: Callable[[str], Comparison], opened: Callable[..., Any], name: str, theme: str
) -> None:
    page = opened(sample(name))
    page.execute_script("document.querySelectorAll('.targets button[aria-pressed=false]').forEach((b) => b.click())")
    if theme == "dark":
        before = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        click(page, "#theme")
        assert page.execute_script("return getComputedStyle(document.body).backgroundColor") != before
        assert page.find_element("id", "theme").get_attribute("aria-pressed") == "true"
    assert page.execute_script(CONTRAST) == []
    page.execute_script("document.body.style.setProperty('--soft', '#808080')")
    assert page.execute_script(CONTRAST) != [], "the measurement itself works"


def test_tables_and_controls_are_named(sample: Callable[[str], Comparison], opened: Callable[..., Any]) -> None:
    page = opened(sample("failures"))
    assert count(page, "h1") == 1
    assert count(page, "thead th:not([scope=col])") == 0
    assert count(page, "tbody tr > :first-child:not(th[scope=row])") == 0
    nameless = "return [...document.querySelectorAll('button, a')].filter((e) => !e.textContent.trim()).length"
    assert page.execute_script(nameless) == 0
    unlabelled = (
        "return document.querySelectorAll('[role=img]:not([aria-label]), [role=region]:not([aria-label])').length"
    )
    assert page.execute_script(unlabelled) == 0
    levels = page.execute_script("return [...document.querySelectorAll('h1, h2, h3')].map((e) => Number(e.tagName[1]))")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_columns_can_be_sorted(sample: Callable[[str], Comparison], opened: Callable[..., Any]) -> None:
    page = opened(sample("failures"))
    names = "return [...document.querySelectorAll('#contestants tbody th')].map((e) => e.textContent.trim())"
    assert page.execute_script(names)[0] == "tensorflow:graph"
    click(page, "#contestants th:nth-child(4) button")
    assert page.execute_script(names)[0] == "jax:jit"
    assert set(page.execute_script(names)[-3:]) == {"tensorflow:xla", "keras/torch:eager", "pytorch:compile"}
    click(page, "#contestants th:nth-child(4) button")
    assert page.execute_script(names)[0] == "keras/tensorflow:eager"
    assert set(page.execute_script(names)[-3:]) == {"tensorflow:xla", "keras/torch:eager", "pytorch:compile"}
    assert page.find_element("css selector", "#contestants th:nth-child(4)").get_attribute("aria-sort") == "descending"


def test_the_data_can_be_downloaded(
    sample: Callable[[str], Comparison], opened: Callable[..., Any], tmp_path: Path
) -> None:
    found = sample("hostile")
    page = opened(found)
    folder = tmp_path / "downloads"
    folder.mkdir()
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    click(page, "#download")
    wait_for(lambda: [path for path in folder.iterdir() if path.suffix == ".json"])
    (path,) = folder.iterdir()
    assert path.name.startswith("assay-")
    assert json.loads(path.read_text(encoding="utf-8")) == found.to_dict()


def test_it_prints_in_light_colours_with_charts_that_fit(
    sample: Callable[[str], Comparison], opened: Callable[..., Any]
) -> None:
    page = opened(sample("failures"))
    click(page, "#theme")  # dark on the screen
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert page.execute_script("return getComputedStyle(document.body).color") == "rgb(26, 30, 36)"
        assert shown(page, ".bar, .controls") == []
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pdf["data"]) > 100_000
