"""Somebody with a browser, and somebody who follows what they do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django_ory_logout.doctor.browser import Browser
from django_ory_logout.doctor.follow import watch
from django_ory_logout.doctor.follow.expected_steps import MissingStep
from django_ory_logout.doctor.follow.watch import Outcome, Step

from ..conftest import SiteBrowser
from .world import World

Act = Callable[[], object]


class Watch:
    """Follows for so many seconds of a clock that only looks move; before each look, somebody acts."""

    def __init__(self, *acts: Act, seconds: float = 5) -> None:
        self._acts, self.now = list(acts), 0.0
        found = list(watch.follow(seconds, sleep=self._sleep, clock=lambda: self.now))
        self.steps = [one for one in found if isinstance(one, Step)]
        [self.outcome] = [one for one in found if isinstance(one, Outcome)]
        assert found[-1] is self.outcome

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self._acts:
            self._acts.pop(0)()

    @property
    def kinds(self) -> list[str]:
        return [one.event.kind for one in self.steps]

    @property
    def missing(self) -> MissingStep:
        assert self.outcome.missing is not None
        return self.outcome.missing


class Person:
    """Somebody with a browser, step by step through a logout."""

    def __init__(self, world: World, name: str = "amber", *, remember: bool = True) -> None:
        self.world, self.at_provider = world, Browser()
        self.site: Any = SiteBrowser(world)  # type: ignore[arg-type]
        self.login = world.provider.sign_in(name, remember=remember)
        self.site.sign_in(name, login_session=self.login)
        self.url = ""

    def press(self) -> None:
        """The button on the site."""
        self.url = self.site.post_form("/auth/logout/", {}).headers.get("Location", "")

    def go(self) -> None:
        """To the provider, which asks, or shows an error page, or sends the browser straight back."""
        self.url = self.at_provider.get(self.url).location

    def agree(self) -> None:
        """At the provider's logout page."""
        challenge = self.url.partition("logout_challenge=")[2]
        page = self.at_provider.get(self.world.face.logout_requests.accept(challenge))
        self.frames, self.url = page.frames, page.refresh or page.location

    def load_frames(self) -> None:
        for frame in self.frames:
            self.site.visit(frame)

    def come_back(self) -> None:
        self.site.visit(self.url)

    def end_there(self) -> None:
        """Log out at the provider itself."""
        self.world.admin.deliver(self.world.provider.end(self.login.sid))

    @property
    def logout(self) -> list[Act]:
        """The whole of it."""
        return [self.press, self.go, self.agree, self.load_frames, self.come_back]


def register(world: World, **changes: Any) -> None:
    [client] = world.provider.clients.values()
    world.provider.register(replace(client, **changes))
