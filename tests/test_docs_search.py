"""The documentation is searchable when it is opened from disk, where browsers start no worker."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from selenium.webdriver.support.wait import WebDriverWait

from evals.harness.browser import missing_browser, open_browser

ROOT = Path(__file__).resolve().parent.parent
SHIM = "assets/iframe-worker.js"
WORKER = """
importScripts("words.js").then(() => addEventListener("message", (event) => {
  postMessage({ found: WORDS.filter((word) => word.startsWith(event.data)) });
}));
"""
PAGE = """<!doctype html><html><head><title>no answer</title><script src="shim.js"></script></head>
<body><script>
const worker = new Worker(new URL("search/worker.js", location));
worker.onmessage = (event) => { document.title = event.data.found.join(" "); };
setTimeout(() => worker.postMessage("land"), 500);
</script></body></html>
"""


def test_the_site_is_built_with_the_index_as_a_script_and_nothing_from_outside() -> None:
    settings = (ROOT / "mkdocs.yml").read_text()
    assert "plugins: [search, offline]" in settings and f"polyfills: [{SHIM}]" in settings
    assert (ROOT / "docs" / SHIM).is_file()


@pytest.mark.browser
@pytest.mark.enable_socket
@pytest.mark.skipif(bool(missing_browser()), reason=missing_browser())
def test_a_workers_script_runs_in_a_page_from_disk(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / SHIM, tmp_path / "shim.js")
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "worker.js").write_text(WORKER)
    (tmp_path / "search" / "words.js").write_text('var WORDS = ["landlock", "land", "sea"];')
    (tmp_path / "page.html").write_text(PAGE)
    with open_browser(tmp_path / "profile") as driver:
        driver.get((tmp_path / "page.html").as_uri())
        WebDriverWait(driver, 60).until(lambda d: d.title != "no answer")
        assert driver.title == "landlock land"
