"""A browser for a Hydra with Kratos as its login page."""

from typing import Any

from .kratos import PAGE, Kratos, KratosBrowser, User
from .parties import SCOPE, TIMEOUT, Browser, Hydra, RelyingParty, Tokens, query_of


class BothBrowser(Browser):
    """Follows redirects while they stay at Hydra and at Kratos' own flows. It answers login pages."""

    def __init__(self, hydra: Hydra, kratos: Kratos) -> None:
        super().__init__(hydra)
        self.kratos = kratos
        self.session.headers.update(PAGE)

    @property
    def kratos_browser(self) -> KratosBrowser:
        """The same browser at Kratos."""
        return KratosBrowser(self.kratos, self.session)

    @property
    def kratos_session_id(self) -> str:
        return str(self.kratos_browser.whoami().json()["id"])

    def follows(self, url: str) -> bool:
        return super().follows(url) or url.startswith(f"{self.kratos.public_url}/self-service/")

    def ask(self, to: RelyingParty, **parameters: str) -> str:
        """The URL where the browser stops: a login or consent page, or the relying party."""
        return self.leave(to.authorization_url(**parameters))

    def enter(self, to: RelyingParty, user: User, **parameters: str) -> Tokens:
        """Sign in with the password and accept."""
        answered = self.kratos_browser.answer_login_page(self.ask(to, **parameters), user)
        return self.agree(to, self.leave(answered.headers["Location"]))

    def pass_through(self, to: RelyingParty, **parameters: str) -> Tokens:
        """Sign in without a password."""
        return self.agree(to, self.ask(to, **parameters))

    def agree(self, to: RelyingParty, location: str) -> Tokens:
        challenge = query_of(location)["consent_challenge"]
        return to.redeem(self.leave(self.hydra.admin.accept_consent_request(challenge, grant_scope=SCOPE.split())))

    def login_request(self, to: RelyingParty) -> Any:
        """The login request that Hydra sends to its login page."""
        answer = self.session.get(to.authorization_url(), allow_redirects=False, timeout=TIMEOUT)
        return self.hydra.admin.login_request(query_of(answer.headers["Location"])["login_challenge"])
