"""A user in a real Chromium."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 10


class Chromium:
    """One user at one device: what the page shows, and what the user presses."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        # A page can change between two reads.
        self.wait = WebDriverWait(
            driver,
            SECONDS,
            poll_frequency=0.1,
            ignored_exceptions=[WebDriverException],  # the page was left meanwhile
        )

    def open(self, url: str) -> None:
        self.driver.get(url)

    @property
    def heading(self) -> str:
        """The main heading, once one is shown."""
        return self._shown("h1").text

    def sees(self, words: str) -> bool:
        """Whether the page comes to show ``words``."""
        return self._comes(lambda: words in self.driver.find_element(By.TAG_NAME, "body").text)

    def waits_for(self, heading: str) -> None:
        """Wait until this is the main heading."""
        assert self._comes(lambda: self.heading == heading), f"{self.heading!r} at {self.driver.current_url}"

    def looks_again(self) -> bool:
        """Return to the page from another tab."""
        self.driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
        return True

    def looks_again_until(self, condition: Callable[[], bool]) -> None:
        """Return to the page again and again, until ``condition`` is true."""
        assert self._comes(lambda: self.looks_again() and condition()), self.heading

    def press(self, words: str) -> None:
        """Press the first button or link with the text ``words``."""
        self._shown(f"//*[self::button or self::a][normalize-space()='{words}']").click()

    def link(self, words: str) -> str:
        """The target of the first link with the text ``words``."""
        return str(self._shown(f"//a[normalize-space()='{words}']").get_property("href"))

    def fill(self, name: str, text: str) -> None:
        self._shown(f"//input[@name='{name}']").send_keys(text)

    def marked(self) -> bool:
        """Whether the page still has the mark of :meth:`mark`, so that it was not reloaded."""
        return bool(self.driver.execute_script("return window.marked === true"))

    def mark(self) -> None:
        self.driver.execute_script("window.marked = true")

    def complaints(self) -> list[str]:
        """Messages of the console, except about answers that are not 2xx, which the page handles."""
        said = self.driver.execute(Command.GET_LOG, {"type": "browser"})["value"]
        return [entry["message"] for entry in said if "Failed to load" not in entry["message"]]

    def _shown(self, where: str) -> WebElement:
        by = By.XPATH if where.startswith("//") else By.CSS_SELECTOR
        found: list[WebElement] = []

        def is_shown(driver: object) -> bool:
            found[:] = [element for element in self.driver.find_elements(by, where) if element.is_displayed()]
            return bool(found)

        self.wait.until(is_shown, f"no {where} at {self.driver.current_url}")
        return found[0]

    def _comes(self, condition: Callable[[], bool]) -> bool:
        try:
            return bool(self.wait.until(lambda driver: condition()))
        except TimeoutException:
            return False


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """A browser without a history. Tests without it fail, and are not skipped."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert browser, "Chromium is missing: run `make e2e-browser`"
    assert driver, "chromedriver is missing: run `make e2e-browser`"
    options = ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server", "--lang=en"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    opened = Chrome(options=options, service=ChromeService(driver))
    try:
        yield Chromium(opened)
    finally:
        opened.quit()
