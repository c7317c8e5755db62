"""A page of a run in a real browser, and what its logs say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit import Player
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from evals.harness.browser import open_browser
from reasoner.protocol import DiagnoseBrief, Diagnosis, Effect, Hypothesis, Observation

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
READY = "return document.querySelectorAll('#curve .point').length"


class Reader(Player):
    """A player whose diagnosis reads the evidence and cites it."""

    async def diagnose(self, brief: DiagnoseBrief) -> Diagnosis:
        found = await super().diagnose(brief)
        seen = Observation(
            text=f"auc {brief.evidence['cv']['mean']:.3f} over the folds",
            cites=["cv.mean", "segments[0]"],
        )
        hypotheses = [
            Hypothesis(
                **{
                    **h.model_dump(),
                    "statement": "less noise in the score",
                    "effect": Effect(size="large"),
                    "confidence": 0.8,
                }
            )
            for h in found.hypotheses
        ]
        return found.model_copy(
            update={"observations": [seen], "causes": ["noise"], "hypotheses": hypotheses}
        )


@contextmanager
def opened(path: Path, place: Path, **options: Any) -> Iterator[Chrome]:
    """The file in a fresh browser, its curve drawn."""
    with open_browser(place / "profile", **options) as driver:
        driver.get(path.as_uri())
        WebDriverWait(driver, 60).until(lambda d: d.execute_script(READY) > 0)
        yield driver


def _read_log(driver: Chrome, kind: str) -> list[dict[str, Any]]:
    return list(driver.get_log(kind))  # type: ignore[no-untyped-call]  # selenium leaves it untyped


def complaints(driver: Chrome) -> list[str]:
    """Return the messages of the console."""
    return [str(entry["message"]) for entry in _read_log(driver, "browser")]


def asked(driver: Chrome) -> list[str]:
    """Addresses that the page requested, without the file itself and the browser's start page."""
    found = [json.loads(entry["message"])["message"] for entry in _read_log(driver, "performance")]
    sent = [m["params"] for m in found if m["method"] == "Network.requestWillBeSent"]
    assert any(s["request"]["url"].startswith("file:") for s in sent)
    urls = [s["request"]["url"] for s in sent if s["documentURL"].startswith("file:")]
    return [url for url in urls if not url.startswith(("file:", "data:"))]


def go(driver: Chrome, attempt: str) -> None:
    driver.execute_script(f"location.hash = '#/attempt/{attempt}'")
    WebDriverWait(driver, 60).until(
        lambda d: d.find_elements(By.CSS_SELECTOR, "#page article") and d.title.startswith(attempt)
    )


def serious(driver: Chrome) -> list[str]:
    """axe-core's serious and critical findings, in short."""
    driver.execute_script(AXE.read_text())
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run().then((r) => done(r.violations))"
    )
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    return [f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes'][:3]]}" for v in bad]


def texts(driver: Chrome, selector: str) -> list[str]:
    return [element.text for element in driver.find_elements(By.CSS_SELECTOR, selector)]
