"""report.html of a real run in a real browser."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from evals.harness.browser import missing_browser
from evals.harness.made_up import HOSTILE, synthetic_events

pytest.importorskip("selenium")
from browser_kit import Reader, asked, complaints, go, opened, serious, texts
from kit import FAULTS, HONEST, quick, write_task
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_report_first_page import BINARY, CLASSES, REGRESSION, write_panels
from test_run_transcripts import STATIC, ask_once, keep_calls

from report.event_log import load_view
from report.html import write_report
from session.session import start_run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser() or "there is one"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report that a real run left: one trace improves, one script fails, one is worse."""
    place = tmp_path_factory.mktemp("run")
    scripts = [
        HONEST.format(noise=3),
        HONEST.format(noise=1),
        FAULTS["crash"],
        HONEST.format(noise=9),
    ]
    settings = quick(place, traces=2, steps=4, max_repairs=0)
    outcome = asyncio.run(
        start_run(str(write_task(place / "task")), settings, reasoner=Reader(scripts))
    )
    return outcome.folder / "report.html"


def ids(driver: Any, verdict: str) -> list[str]:
    found = driver.execute_script(
        "return ATTEMPTS.filter((a) => a.verdict === arguments[0] && a.parent).map((a) => a.id)",
        verdict,
    )
    return list(found)


@pytest.mark.slow
def test_the_first_screen_shows_the_essentials(page: Path, tmp_path: Path) -> None:
    with opened(page, tmp_path) as driver:
        height = driver.execute_script("return innerHeight")
        for selector in ("#score", ".helped", ".path code", ".counts", ".budget", "#curve"):
            element = driver.find_element(By.CSS_SELECTOR, selector)
            assert element.is_displayed() and element.rect["y"] < height, selector
        best = page.parent / "best"
        paths = [str(best / "submission.csv"), str(best / "solution.py")]
        assert texts(driver, ".path code") == paths
        assert texts(driver, ".path button.copy") == ["Copy", "Copy"]
        assert "What helped most: less noise in the score" in texts(driver, ".helped")[0]
        for plot in ("#curve", "#forest"):
            assert len(driver.find_elements(By.CSS_SELECTOR, f"{plot} .point")) == 8
        assert len(driver.find_elements(By.CSS_SELECTOR, "#forest .edge.strong")) == 1
        assert (complaints(driver), asked(driver)) == ([], [])


def test_the_curve_begins_at_one_and_holds_the_best_with_its_error(
    page: Path, tmp_path: Path
) -> None:
    with opened(page, tmp_path) as driver:
        low, high = driver.execute_script("return CURVE.domain")
        score, se = driver.execute_script("const b = BY_ID.get(DATA.best); return [b.score, b.se]")
        assert se > 0 and low <= score - se and score + se <= high
        ticks = driver.execute_script(
            "return [...document.querySelectorAll('#curve g')].map((g) =>"
            " [...g.querySelectorAll('.tick text')].map((t) => t.textContent))"
        )
        assert any(words and words[0] == "1" for words in ticks)


def test_plots_of_the_predictions_and_the_way_to_the_best(page: Path, tmp_path: Path) -> None:
    with opened(page, tmp_path) as driver:
        titles = texts(driver, "#plots figcaption")
        assert [title.split(",")[0] for title in titles] == [
            "ROC",
            "Precision and recall",
            "Calibration",
        ]
        assert len(driver.find_elements(By.CSS_SELECTOR, "#plots figure .legend span")) == 7
        [panel] = driver.execute_script("return DATA.panels")
        assert sum(n for n, _ in panel["groups"]) == panel["n"] == 120
        assert texts(driver, "#story ol li")[-1].startswith(
            driver.execute_script("return DATA.best")
        )
        assert driver.find_elements(By.CSS_SELECTOR, "#best-diff .diff tr.add")
        for legend in ("#legend", "#forest-legend"):
            assert "best of the run" in texts(driver, legend)[0]
        assert complaints(driver) == []


def test_a_page_per_attempt_with_diagnosis_diff_folds_and_log(page: Path, tmp_path: Path) -> None:
    with opened(page, tmp_path) as driver:
        go(driver, ids(driver, "accepted")[0])
        words = driver.find_element(By.ID, "page").text
        assert (
            "less noise in the score" in words
            and "large gain, 80 % sure" in words
            and "Measured: accepted" in words
        )
        assert (
            texts(driver, ".cite code")[0] == "cv.mean"
            and texts(driver, ".cite")[0].removeprefix("cv.mean").strip()[:2] == "0."
        )
        assert any("random.gauss(0, 1)" in text for text in texts(driver, ".diff tr.add"))
        assert driver.find_elements(
            By.CSS_SELECTOR, ".diff .token.builtin, .diff .token.keyword, .diff .token.number"
        )
        assert len(driver.find_elements(By.CSS_SELECTOR, ".card svg circle.accepted")) >= 5
        go(driver, ids(driver, "failed")[0])
        assert "boom in fit" in texts(driver, "details[open] pre")[0]
        driver.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
        assert driver.find_element(By.ID, "overview").is_displayed()
        assert complaints(driver) == []


def test_the_keyboard_alone_opens_an_attempt(page: Path, tmp_path: Path) -> None:
    with opened(page, tmp_path) as driver:
        driver.execute_script("document.querySelector('#curve .point[tabindex=\"0\"]').focus()")
        first = driver.switch_to.active_element.get_attribute("data-id")
        driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        second = driver.switch_to.active_element
        assert second.get_attribute("data-id") not in (None, first)
        assert driver.find_element(By.ID, "tip").is_displayed()
        wanted = second.get_attribute("data-id")
        second.send_keys(Keys.ENTER)
        assert wanted
        go(driver, wanted)
        assert driver.switch_to.active_element.tag_name == "h1"


@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.slow), True])
def test_it_fits_a_narrow_screen_in_light_and_dark(page: Path, tmp_path: Path, dark: bool) -> None:
    with opened(page, tmp_path, width=400, height=800, dark=dark) as driver:
        for attempt in ("", ids(driver, "accepted")[0], ids(driver, "failed")[0]):
            if attempt:
                go(driver, attempt)
            assert driver.execute_script("return document.documentElement.scrollWidth") == 400
        paper = (
            driver.execute_script("return getComputedStyle(document.body).backgroundColor")
            .removeprefix("rgb(")
            .split(",")
        )
        assert (int(paper[0]) < 60) is dark
        driver.find_element(By.ID, "theme").click()
        assert texts(driver, "#theme") == ["Theme: light"]


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious(page: Path, tmp_path: Path, dark: bool) -> None:
    with opened(page, tmp_path, dark=dark) as driver:
        found = serious(driver)
        for attempt in (ids(driver, "accepted")[0], ids(driver, "failed")[0]):
            go(driver, attempt)
            found += serious(driver)
        assert found == []


def test_hostile_text_runs_nothing(tmp_path: Path) -> None:
    synthetic_events(traces=2, steps=4, folder=tmp_path / "run")
    with opened(write_report(tmp_path / "run"), tmp_path) as driver:
        driver.execute_script("window.alert = () => { window.hit = 1 }")
        for attempt in driver.execute_script("return ATTEMPTS.map((a) => a.id)"):
            go(driver, attempt)
        assert (
            driver.execute_script("return window.hit || document.querySelectorAll('img').length")
            == 0
        )
        assert (complaints(driver), asked(driver)) == ([], [])


def test_every_kind_of_plot_is_drawn_and_its_labels_stay_text(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    synthetic_events(traces=2, steps=4, folder=folder, hostile=False)
    many = CLASSES | {
        "labels": [f"class {i}" for i in range(11)] + ["other"],
        "matrix": [[9 if i == j else 1 for j in range(12)] for i in range(12)],
        "n_joined": 30,
        "n_more": 12,
    }
    write_panels(folder, [BINARY, CLASSES, many, REGRESSION])
    best = load_view(folder).best_attempt
    assert best is not None
    path = folder / "artifacts" / best.evidence[:2] / best.evidence
    path.write_text(json.dumps({"importances": {"top": [[HOSTILE, 0.5], ["age", -0.2]]}}))
    with opened(write_report(folder), tmp_path, width=400, height=900, dark=True) as driver:
        titles = [title.split(",")[0] for title in texts(driver, "#plots figcaption")]
        assert titles == [
            "ROC",
            "Precision and recall",
            "Calibration",
            "Confusion matrix",
            "By class",
            "Confusion matrix",
            "By class",
            "Predicted against true",
            "Residuals",
            "Residuals by prediction",
            "Importances",
        ]
        assert "joins 30 rarer classes" in driver.find_element(By.ID, "plots").text
        drawn = driver.execute_script(
            "return [...document.querySelectorAll('#plots figure > svg')].map((svg) =>"
            " /NaN|undefined|Infinity/.test(svg.outerHTML))"
        )
        assert len(drawn) == 11 and not any(drawn)
        assert driver.execute_script("return document.documentElement.scrollWidth") == 400
        assert driver.execute_script("return document.querySelectorAll('img').length") == 0
        assert (serious(driver), complaints(driver), asked(driver)) == ([], [], [])
        driver.find_element(By.ID, "plots").screenshot(str(tmp_path / "plots.png"))


def test_the_table_filters_and_finds(tmp_path: Path) -> None:
    synthetic_events(traces=3, steps=50, folder=tmp_path / "run", hostile=False)
    with opened(write_report(tmp_path / "run"), tmp_path) as driver:
        assert len(texts(driver, ".list tbody tr")) == 100
        driver.find_element(By.CSS_SELECTOR, "button.more").click()
        assert len(texts(driver, ".list tbody tr")) == 150
        driver.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("refund_date")
        found = texts(driver, ".list tbody tr")
        assert 0 < len(found) < 150 and all("refund_date" in text for text in found)


@pytest.mark.slow
def test_two_thousand_attempts_stay_small_and_every_page_opens(tmp_path: Path) -> None:
    synthetic_events(traces=4, steps=500, folder=tmp_path / "run")
    path = write_report(tmp_path / "run")
    assert path.stat().st_size < 20 * 2**20
    with opened(path, tmp_path) as driver:
        assert len(driver.find_elements(By.CSS_SELECTOR, "#curve .point")) == 2000
        go(driver, "t3s499")
        assert driver.find_elements(By.CSS_SELECTOR, ".diff tr.add, .problem")
        assert complaints(driver) == []


def test_the_calls_of_a_model_are_folded_and_stay_text(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    synthetic_events(traces=1, steps=2, folder=folder)
    for name in ("t0s0", "t0s1"):
        keep_calls(folder, ask_once(STATIC + HOSTILE, f"{HOSTILE} of {name}"), name=name)
    with opened(write_report(folder), tmp_path) as driver:
        driver.execute_script("window.alert = () => { window.hit = 1 }")
        go(driver, "t0s1")
        call = driver.find_element(By.CSS_SELECTOR, "details.call")
        assert call.get_attribute("open") is None
        driver.execute_script("arguments[0].open = true", call)
        driver.execute_script("arguments[0].querySelector('details').open = true", call)
        assert "2. update · m" in call.text and "evil of t0s1" in call.text
        assert "characters as in an earlier prompt: # Task" in call.text
        assert driver.execute_script("return window.hit || document.images.length") == 0
        assert (complaints(driver), asked(driver), serious(driver)) == ([], [], [])
