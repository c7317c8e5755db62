"""`gome ui` in a real browser: list, a run in progress, report, comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.harness.browser import missing_browser, open_browser
from evals.harness.made_up import HOSTILE, synthetic_events

pytest.importorskip("selenium")
from browser_kit import complaints, serious, texts
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from test_report_overview import make_runs, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser() or "there is one"),
]


def wait_for(driver: Any, selector: str) -> Any:
    return WebDriverWait(driver, 30).until(lambda d: d.find_element(By.CSS_SELECTOR, selector))


def test_runs_are_listed_compared_and_their_reports_opened(tmp_path: Path) -> None:
    make_runs(tmp_path / "runs", one={}, two={"seed": 4})
    with serving(tmp_path / "runs") as server, open_browser(tmp_path / "profile") as driver:
        driver.get(server.address)
        wait_for(driver, ".runs tbody tr")
        assert [words.split("\n")[1] for words in texts(driver, ".runs tbody th")] == ["two", "one"]
        assert serious(driver) == []
        assert not driver.find_element(By.ID, "compare").is_enabled()
        for box in driver.find_elements(By.CSS_SELECTOR, ".runs input"):
            box.click()
        driver.find_element(By.ID, "compare").click()
        wait_for(driver, ".compare")
        assert texts(driver, ".compare thead th") == ["two", "one"]
        assert driver.find_elements(By.CSS_SELECTOR, ".diff tr.add")
        assert serious(driver) == []
        driver.find_element(By.CSS_SELECTOR, ".compare thead a").click()
        wait_for(driver, "#report").click()
        wait_for(driver, "#curve .point")
        assert driver.current_url.endswith("/run/two/report")
        assert complaints(driver) == []


def test_a_run_in_progress_is_followed(tmp_path: Path) -> None:
    make_runs(tmp_path / "runs", live={"ended": False, "hostile": False})
    path = tmp_path / "runs" / "live" / "events.jsonl"
    with (
        serving(tmp_path / "runs", lambda folder: True) as server,
        open_browser(tmp_path / "profile", width=400, height=800, dark=True) as driver,
    ):
        driver.get(f"{server.address}#/run/live")
        wait_for(driver, "#log div")
        assert texts(driver, ".live-head .state") == ["running"]
        assert texts(driver, "section h2")[1:2] == ["In progress"]
        assert driver.execute_script("return document.documentElement.scrollWidth") == 400
        with path.open("a") as file:
            event = {"t": 1_790_009_999.0, "ev": "warning", "message": "the disk is nearly full"}
            file.write(json.dumps(event) + "\n")
        WebDriverWait(driver, 30).until(lambda d: "disk is nearly full" in texts(d, "#log")[0])
        assert serious(driver) == [] and complaints(driver) == []
        server.closing.set()
        WebDriverWait(driver, 30).until(lambda d: "Not connected" in texts(d, "#lost")[0])


def test_hostile_runs_run_nothing_in_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    synthetic_events(folder=folder, hostile=True)
    lines = folder.joinpath("events.jsonl").read_text()
    changed = lines.replace('"city-prices"', json.dumps(HOSTILE))
    folder.joinpath("events.jsonl").write_text(changed)
    (folder / "run.json").write_text(json.dumps({"run": HOSTILE, "settings": {}}))
    with serving(tmp_path / "runs") as server, open_browser(tmp_path / "profile") as driver:
        for page in ("", "#/run/one", "#/run/%3Cimg%20src=x%20onerror=alert(1)%3E"):
            driver.get(server.address + page)
            wait_for(driver, "main *")
            driver.execute_script("window.alert = () => { window.hit = 1 }")
        driver.get(server.address)
        wait_for(driver, ".runs tbody tr")
        hit = driver.execute_script("return window.hit || document.querySelectorAll('img').length")
        assert hit == 0
