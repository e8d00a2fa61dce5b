"""A user with a browser, and a run of ``--follow`` that watches what users do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django_ory_logout.doctor.browser import Browser
from django_ory_logout.doctor.follow import watch
from django_ory_logout.doctor.follow.expected_steps import MissingStep
from django_ory_logout.doctor.follow.watch import Outcome, Step

from ..conftest import SiteBrowser
from .hydra_network import HydraNetwork

Act = Callable[[], object]


class Watch:
    """Watches for ``seconds`` of a clock that moves only between reads. Before each read, one act runs."""

    def __init__(self, *acts: Act, seconds: float = 5) -> None:
        self._acts, self.now = list(acts), 0.0
        found = list(watch.follow(seconds, sleep=self._sleep, clock=lambda: self.now))
        self.steps = [item for item in found if isinstance(item, Step)]
        [self.outcome] = [item for item in found if isinstance(item, Outcome)]
        assert found[-1] is self.outcome

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self._acts:
            self._acts.pop(0)()

    @property
    def kinds(self) -> list[str]:
        return [step.event.kind for step in self.steps]

    @property
    def missing(self) -> MissingStep:
        assert self.outcome.missing is not None
        return self.outcome.missing


class BrowserUser:
    """A user with a browser, who logs out step by step."""

    def __init__(self, hydra: HydraNetwork, name: str = "amber", *, remember: bool = True) -> None:
        self.hydra, self.at_provider = hydra, Browser()
        self.site: Any = SiteBrowser(hydra)  # type: ignore[arg-type]
        self.login = hydra.provider.sign_in(name, remember=remember)
        self.site.sign_in(name, login_session=self.login)
        self.url = ""

    def press(self) -> None:
        """Press the logout button of the site."""
        self.url = self.site.post_form("/auth/logout/", {}).headers.get("Location", "")

    def go(self) -> None:
        """Go to the provider: it asks the user, shows an error page, or sends the browser back."""
        self.url = self.at_provider.get(self.url).location

    def agree(self) -> None:
        """Confirm at the provider's logout page."""
        challenge = self.url.partition("logout_challenge=")[2]
        page = self.at_provider.get(self.hydra.face.logout_requests.accept(challenge))
        self.frames, self.url = page.frames, page.refresh or page.location

    def load_frames(self) -> None:
        for frame in self.frames:
            self.site.visit(frame)

    def come_back(self) -> None:
        self.site.visit(self.url)

    def end_there(self) -> None:
        """Log out at the provider itself."""
        self.hydra.admin.deliver(self.hydra.provider.end(self.login.sid))

    @property
    def logout(self) -> list[Act]:
        """All steps of a logout."""
        return [self.press, self.go, self.agree, self.load_frames, self.come_back]


def register(hydra: HydraNetwork, **changes: Any) -> None:
    [client] = hydra.provider.clients.values()
    hydra.provider.register(replace(client, **changes))
