"""Headless Chromium of Debian, for pictures, figures and the tests of report.html."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def missing_browser() -> str:
    """Return how to install the browser, or an empty string where it is installed."""
    if not CHROMIUM.exists() or not DRIVER.exists():
        return "no Chromium: apt install chromium chromium-driver"
    return ""


@contextmanager
def open_browser(
    profile: Path, *, width: int = 1280, height: int = 860, dark: bool = False, scale: float = 1
) -> Iterator[Chrome]:
    """Start a browser that logs console and network; its data goes to the new folder `profile`."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    window = f"--window-size={max(width, 500)},{height}"
    for flag in (*FLAGS, f"--user-data-dir={profile}", window):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(str(DRIVER), log_output=str(profile.with_suffix(".log")))
    driver = Chrome(options=options, service=service)
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
