"""A page of hostile text in a real browser: no script of it runs, and the page works."""

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from example_cases import tiny_case
from reports import view
from traces import Outcome, records, trace_of, write
from wanbench.plots.picture import SavedPicture
from wanbench.report.page import to_page
from wanbench.trace.reader import read_trace

RUN = "window.ran = true"
HOSTILE = (
    f"</p></article></main></script><script>{RUN}</script><img src=x onerror='{RUN}'><svg onload='{RUN}'>"
    f"[a](javascript:{RUN}) <a href='javascript:{RUN}'>b</a> <iframe srcdoc='<script>parent.{RUN}</script>'> "
    f"<{RUN}> `<script>{RUN}</script> \x00\x1b[31m\u202e <style>*{{display:none}}</style>"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    case = tiny_case(prompt=HOSTILE + "x" * 1_000_000, negative_prompt=HOSTILE)
    failed = Outcome("error", HOSTILE, f"<script>{RUN}</script>")
    trace = trace_of(records([1.0, 1.0]), case=case, outcome=failed)
    trace["error"]["stage_reached"] = "VAE_Decoding"
    file = write(folder, trace)
    traces = [read_trace(file)]
    picture = SavedPicture(f"<svg><script>{RUN}</script></svg>", f'"{HOSTILE}', HOSTILE)
    text = to_page(view(*traces), {"tiny": [picture]})
    (folder / "report.html").write_text(text, "utf-8")
    return folder / "report.html"


def ran(browser: webdriver.Chrome) -> bool:
    return browser.execute_script("return window.ran !== undefined")


def test_no_script_of_a_prompt_or_an_error_runs(browser: webdriver.Chrome, page: Path) -> None:
    browser.get(page.as_uri())
    browser.find_element(By.LINK_TEXT, "tiny").click()
    article = browser.find_element(By.ID, "case-tiny")
    assert article.is_displayed()
    assert f"<script>{RUN}</script><img src=x onerror='{RUN}'>" in article.text
    assert r"\x00\x1b[31m\u202e" in article.text
    assert len(article.text) < 20_000
    assert not article.find_elements(By.CSS_SELECTOR, "script, svg, iframe, style, a[href^=javascript]")
    assert not ran(browser)


def test_a_script_that_got_into_the_page_would_not_run(browser: webdriver.Chrome, page: Path, tmp_path: Path) -> None:
    """The policy of the page names its own script by its digest."""
    text = page.read_text("utf-8")
    planted = f"<main id=\"main\"><script>{RUN}</script><img src=x onerror='{RUN}'><svg onload='{RUN}'></svg>"
    altered = tmp_path / "report.html"
    altered.write_text(text.replace('<main id="main">', planted), "utf-8")
    assert altered.read_text("utf-8") != text
    browser.get(altered.as_uri())
    assert browser.find_element(By.ID, "filter").is_displayed()
    assert not ran(browser)
    # The same without the policy: what was planted does run.
    altered.write_text(altered.read_text("utf-8").replace("Content-Security-Policy", "x"), "utf-8")
    browser.get(altered.as_uri())
    assert ran(browser)
