"""Back-channel delivery over HTTP, as Ory Hydra does it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

import requests

from .records import Delivery

#: Seconds before the second and the third attempt, and for all attempts together.
WAITS = (1.0, 2.0)
TOTAL_SECONDS = 30.0
ATTEMPT_SECONDS = 10.0
KEPT_REPORTS = 50

_SUCCESS = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)


@dataclass(frozen=True)
class Report:
    """The result of a delivery. Each attempt has one entry: a status or the name of the error."""

    client_id: str
    url: str
    attempts: list[int | str] = field(default_factory=list)

    @property
    def delivered(self) -> bool:
        return bool(self.attempts) and self.attempts[-1] in _SUCCESS


class BackChannel:
    """Delivers logout tokens, with at most three attempts each, and keeps the latest reports."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self.reports: deque[Report] = deque(maxlen=KEPT_REPORTS)
        self._sleep = sleep

    def deliver(self, deliveries: Iterable[Delivery]) -> list[Report]:
        """Deliver all logout tokens and wait for the end. Each delivery has its own thread: none waits for another."""
        reports = [(delivery, Report(delivery.client_id, delivery.url)) for delivery in deliveries]
        self.reports.extend(report for _, report in reports)
        threads = [threading.Thread(target=self._run, args=pair, daemon=True) for pair in reports]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [report for _, report in reports]

    def deliver_in_background(self, deliveries: Iterable[Delivery]) -> threading.Thread:
        """Deliver in another thread. The browser can return to the client before the logout token arrives."""
        thread = threading.Thread(target=self.deliver, args=[list(deliveries)], daemon=True)
        thread.start()
        return thread

    def _run(self, delivery: Delivery, report: Report) -> None:
        waits, remaining = iter(WAITS), TOTAL_SECONDS
        while True:
            response = _post(delivery, report)
            pause = _pause(response, next(waits, None))
            if pause is None or pause > remaining:
                return
            remaining -= pause
            self._sleep(pause)


def _post(delivery: Delivery, report: Report) -> requests.Response | None:
    """Send one attempt. All attempts have the same token. As in Hydra, a 301, 302 or 303 turns the POST into a GET."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.post(delivery.url, data=delivery.form, timeout=ATTEMPT_SECONDS)
        except requests.RequestException as error:
            report.attempts.append(type(error).__name__)
            return None
    report.attempts.append(response.status_code)
    return response


def _pause(response: requests.Response | None, wait: float | None) -> float | None:
    """Seconds until the next attempt. None: there is no next attempt."""
    if wait is None or response is None:
        return wait
    status, retry_after = response.status_code, response.headers.get("Retry-After", "")
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE) and retry_after.isdigit():
        return float(retry_after)
    again = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return wait if again and status != HTTPStatus.NOT_IMPLEMENTED else None
