"""A real browser, Debian's chromium, without a window."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.remote.webelement import WebElement

from tests.plugins.patience import AT_LAST, LATER, SOON
from tests.support.servers.waiting import eventually

OPTIONS = ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900")


def executables() -> tuple[str, str] | None:
    """Paths of the browser and of its driver; None if they are not installed."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return None if browser is None or driver is None else (browser, driver)


class Browser:
    """:param folder: for the browser's profile."""

    def __init__(self, folder: Path) -> None:
        found = executables()
        assert found is not None
        options = ChromeOptions()
        options.binary_location = found[0]
        # Root, as in CI, cannot use the browser's own sandbox.
        for option in (*OPTIONS, f"--user-data-dir={folder}", *(["--no-sandbox"] if os.geteuid() == 0 else [])):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})

        def opened() -> Chrome | None:
            """Start the browser, which sometimes gives up on a slow machine."""
            with contextlib.suppress(WebDriverException):
                return Chrome(options=options, service=Service(found[1]))
            return None

        driver = eventually("a browser opens", opened, LATER)
        assert driver is not None
        self.driver = driver
        self.driver.set_page_load_timeout(LATER)
        self.driver.set_script_timeout(LATER)
        executor = self.driver.command_executor
        assert isinstance(executor, RemoteConnection)
        executor.client_config.timeout = int(AT_LAST)

    def open(self, url: str) -> None:
        """Go to a page, and discard the messages about earlier pages."""
        self.driver.get("about:blank")
        self.complaints()
        self.driver.get(url)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the text that a person sees there. It is read in one call, because the page changes all the time."""
        script = "return [...document.querySelectorAll(arguments[0])].map(found => found.innerText).join('\\n')"
        return str(self.driver.execute_script(script, selector))

    def wait_for(self, selector: str, text: str, timeout: float = SOON) -> str:
        """Wait until a text appears in a place; return all the text of that place."""
        return eventually(
            f"{text!r} in {selector}", lambda: found if text in (found := self.text(selector)) else "", timeout
        )

    def click(self, selector: str, text: str = "") -> None:
        """Find the first match that contains a text and click on it, in one call: the page changes all the time."""
        script = (
            "[...document.querySelectorAll(arguments[0])].find(found => found.innerText.includes(arguments[1])).click()"
        )
        self.driver.execute_script(script, selector, text)

    def complaints(self) -> list[str]:
        """Return the browser's errors and warnings about the page since the last call."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def close(self) -> None:
        self.driver.quit()
