"""The report's page in a real browser: without a network, on a phone, in the dark, on paper."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from conftest import ROOT, copy_project

CASE = "T2V_A14B_480p_offload_compiled"
DESKTOP = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
# A4 on its side within its margins, at 96 pixels an inch.
PAPER = {"width": round(277 / 25.4 * 96), "height": 718, "deviceScaleFactor": 1, "mobile": False}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of kept H200 results, in a folder with nothing beside it."""
    project = copy_project(tmp_path_factory.mktemp("page") / "project")
    traces = Path("results/reference/h200/traces")
    (project.folder / traces).mkdir(parents=True)
    # With warm generations and with a lossy setting, which have columns and lines of their own.
    for case in ("T2V_A14B_480p*", "5B_704p_cudnn_compiled", "5B_704p_vae_tiling"):
        for trace in (ROOT / "tests/data/h200/traces").glob(f"{case}.json.gz"):
            shutil.copy(trace, project.folder / traces)
    run = project.snakemake("results/reference/h200/report.html")
    assert run.code == 0, run.output
    alone = tmp_path_factory.mktemp("alone") / "report.html"
    shutil.copy(project.folder / "results/reference/h200/report.html", alone)
    return alone


@pytest.fixture
def opened(browser: webdriver.Chrome, page: Path) -> Iterator[webdriver.Chrome]:
    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    browser.get_log("browser")
    browser.get("about:blank")
    browser.get(page.as_uri())
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline | {"offline": False})


def shown_on(browser: webdriver.Chrome, screen: dict) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def rows(browser: webdriver.Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "#cases tbody tr")


def column(browser: webdriver.Chrome, index: int) -> list[str]:
    return [row.find_elements(By.TAG_NAME, "td")[index].text for row in rows(browser) if row.is_displayed()]


def head(browser: webdriver.Chrome, name: str) -> tuple[int, webdriver.Chrome]:
    heads = browser.find_elements(By.CSS_SELECTOR, "#cases th")
    index = [element.text.split("\n")[0].strip() for element in heads].index(name)
    return index, heads[index]


def visible_cases(browser: webdriver.Chrome) -> list[str]:
    articles = browser.find_elements(By.CSS_SELECTOR, "article.case")
    return [article.get_attribute("id") for article in articles if article.is_displayed()]


def scrolls_sideways(browser: webdriver.Chrome) -> bool:
    return browser.execute_script("return document.documentElement.scrollWidth > window.innerWidth")


def test_it_opens_without_a_network_and_without_an_error(opened: webdriver.Chrome) -> None:
    assert opened.title == "Wan2.2 Benchmark Report"
    assert opened.get_log("browser") == []
    assert visible_cases(opened) == []
    sizes = opened.execute_script("return [...document.images].map(i => (i.loading = 'eager', i.naturalWidth))")
    assert all(width > 0 for width in sizes[:1])


def test_a_column_of_numbers_sorts_both_ways_and_what_was_not_measured_stands_last(opened: webdriver.Chrome) -> None:
    index, element = head(opened, "SM(%)")
    for way, sign in (("ascending", 1), ("descending", -1)):
        element.find_element(By.TAG_NAME, "button").click()
        cells = column(opened, index)
        values = [sign * float(text) for text in cells if text != "n/a"]
        assert values == sorted(values)
        assert 0 < len(values) < len(cells)
        assert set(cells[len(values) :]) == {"n/a"}
        assert element.get_attribute("aria-sort") == way


def test_the_answer_stands_first_and_the_appendix_is_folded(opened: webdriver.Chrome) -> None:
    shown_on(opened, DESKTOP)
    cards = opened.find_elements(By.CSS_SELECTOR, ".card")
    assert cards[0].location["y"] < 250
    assert any("Fastest" in card.text and "compile: repeated_blocks" in card.text for card in cards)
    appendix = opened.find_element(By.ID, "appendix")
    assert not appendix.is_displayed()
    opened.find_element(By.LINK_TEXT, "Appendix").click()
    assert appendix.is_displayed()


def test_on_a_desktop_tables_need_no_scrolling_for_what_decides(opened: webdriver.Chrome) -> None:
    shown_on(opened, DESKTOP)
    script = """
    const names = ['Best at', 'Time (s)', 'Used (GB)', 'Energy (Wh)'];
    const heads = [...document.querySelectorAll('#overview th')].filter(head => names.includes(head.innerText));
    return heads.map(head => head.getBoundingClientRect().right)"""
    rights = opened.execute_script(script)
    assert len(rights) > 4
    assert max(rights) < 1440


def test_the_filter_shows_the_rows_that_have_all_words(opened: webdriver.Chrome) -> None:
    texts = [row.text.lower() for row in rows(opened)]
    field = opened.find_element(By.ID, "filter")
    field.send_keys("a14b model")
    shown = [row.text.lower() for row in rows(opened) if row.is_displayed()]
    assert CASE in column(opened, 0)
    assert shown == [text for text in texts if "a14b" in text and "model" in text]
    assert 0 < len(shown) < len(texts)
    assert opened.find_element(By.ID, "shown").text == f"{len(shown)} of {len(texts)} cases"
    field.clear()
    field.send_keys("no such case")
    assert column(opened, 0) == []


def test_a_case_has_a_page_of_its_own_and_the_way_back(opened: webdriver.Chrome) -> None:
    opened.find_element(By.LINK_TEXT, CASE).click()
    assert visible_cases(opened) == [f"case-{CASE}"]
    assert not opened.find_element(By.ID, "overview").is_displayed()
    article = opened.find_element(By.ID, f"case-{CASE}")
    for text in ("Stage Breakdown", "Expert Switch Step", "Bottlenecks Detected", "ui.perfetto.dev"):
        assert text in article.text
    article.find_element(By.LINK_TEXT, "All cases").click()
    assert visible_cases(opened) == []
    opened.back()
    assert visible_cases(opened) == [f"case-{CASE}"]
    opened.get(opened.current_url.split("#")[0] + f"#case-{CASE}:stage-breakdown")
    assert visible_cases(opened) == [f"case-{CASE}"]


def test_on_a_phone_only_tables_scroll_sideways(opened: webdriver.Chrome) -> None:
    shown_on(opened, PHONE)
    assert not scrolls_sideways(opened)
    opened.get(opened.current_url.split("#")[0] + f"#case-{CASE}")
    assert not scrolls_sideways(opened)
    size = "return parseFloat(getComputedStyle(document.querySelector('article:not([hidden]) td')).fontSize)"
    assert opened.execute_script(size) >= 12


def test_on_a_phone_the_text_of_pictures_can_be_read(opened: webdriver.Chrome) -> None:
    shown_on(opened, PHONE)
    image = opened.find_element(By.CSS_SELECTOR, "#overview figure img")
    box = opened.find_element(By.CSS_SELECTOR, "#overview figure .picture")
    # Pictures are drawn 9 inches wide, with text of 8 points and more.
    text_px = 8 / 72 * image.size["width"] / 9
    assert text_px >= 9
    assert image.size["width"] > box.size["width"]
    assert opened.execute_script("arguments[0].scrollLeft = 100; return arguments[0].scrollLeft", box) == 100


def test_in_the_dark_pictures_are_dark_and_text_is_light_on_dark_with_enough_contrast(opened: webdriver.Chrome) -> None:
    look = "return getComputedStyle(document.querySelector('figure img')).filter"
    colours = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    for scheme, media, dark in (("light", "", False), ("dark", "", True), ("dark", "print", False)):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        assert ("invert" in opened.execute_script(look)) == dark
        if not media:
            ink, paper = (_luminance(colour) for colour in opened.execute_script(colours))
            assert (ink > paper) == dark
            # WCAG 2.2, success criterion 1.4.6 (enhanced contrast).
            assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 7


def test_on_paper_every_case_is_there_and_nothing_is_broken_or_cut(opened: webdriver.Chrome) -> None:
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown_on(opened, PAPER)
    assert len(visible_cases(opened)) == len(rows(opened))
    assert not opened.find_element(By.ID, "filter").is_displayed()
    broken = """
    const lines = (node, start, end) => {
      const range = document.createRange();
      range.setStart(node, start);
      range.setEnd(node, end);
      return new Set([...range.getClientRects()].map(box => box.top)).size;
    };
    const found = [];
    for (const cell of document.querySelectorAll('th, td')) {
      const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode())
        for (const word of node.data.matchAll(/[^\\s\\/-]+/g))
          if (lines(node, word.index, word.index + word[0].length) > 1) found.push(word[0]);
    }
    return found"""
    assert opened.execute_script(broken) == []
    assert not scrolls_sideways(opened)


def test_tables_and_pictures_can_be_read_without_seeing_them(opened: webdriver.Chrome) -> None:
    missing = """
    return [
      [...document.querySelectorAll('th')].filter(th => th.scope !== 'col').length,
      [...document.querySelectorAll('.scroll')].filter(box => !box.getAttribute('aria-label')).length,
      [...document.images].filter(image => image.alt.length < 20).length,
      document.documentElement.lang,
    ]"""
    assert opened.execute_script(missing) == [0, 0, 0, "en"]
    label = opened.find_element(By.CSS_SELECTOR, "label[for=filter]")
    assert label.text == "Show cases with"


def _luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, by WCAG 2.2."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
