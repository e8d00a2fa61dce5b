"""What can go wrong, as one tree. A caller branches on the class; people and the documentation go by the ``code``.

``code`` is stable and public. ``str(error)`` is for the log: exact, and never a token, a secret or a claim's value.
"""

from typing import Any


class OryLogoutError(Exception):
    """The root of every error that this package raises on purpose."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        #: What finds its line in the log; empty until it is logged for a page.
        self.reference = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


def fault_name(error: Exception) -> str:
    """``error`` for the log: ours in full, and of any other its type, for its text can hold a session key."""
    return str(error) if isinstance(error, OryLogoutError) else type(error).__name__


class InvalidMessage(OryLogoutError):
    """The message itself is wrong; sent again it would be wrong again. Answered with 400."""


class InvalidToken(InvalidMessage):
    """A token that must not be trusted: form, signature or a claim."""


class TemporaryError(OryLogoutError):
    """Cannot be decided now, through no fault of the message; worth another try. Answered with 503."""


class ProviderUnavailable(TemporaryError):
    """The provider is out of reach, answers with a fault, or was asked too recently to be asked again."""


class SetupError(ProviderUnavailable):
    """This site or the provider is set up wrongly: another try does not help, their operators have to repair it.

    Answered with 500; a provider's notice with 503 like any :exc:`TemporaryError`, for the notice itself is not wrong.
    """


class LogoutUnconfirmed(TemporaryError):
    """A logout here that could not be written down. ``name`` and ``reason`` are what it takes to try it again."""

    def __init__(self, code: str, detail: str = "", *, name: Any = None, reason: str = "") -> None:
        super().__init__(code, detail)
        self.name = name
        self.reason = reason


class SignInRefused(OryLogoutError):
    """The provider or this site does not let this person in. Answered with 403."""


class LoggedOutMeanwhile(OryLogoutError):
    """The provider logged the person out while they were signing in. Answered with 409."""


class HydraError(OryLogoutError):
    """Hydra's admin API refuses a call, and would refuse it again."""


class ChallengeHandled(HydraError):
    """This login, consent or logout request was answered before. ``redirect_to`` starts anew what it was part of."""

    def __init__(self, redirect_to: str) -> None:
        super().__init__("challenge_handled")
        self.redirect_to = redirect_to


class KratosError(OryLogoutError):
    """Kratos refuses a call, and would refuse it again."""


class SecondFactorRequired(KratosError):
    """The session is alive, and this call asks for a second factor, which is given at ``redirect_browser_to``."""

    def __init__(self, redirect_browser_to: str) -> None:
        super().__init__("session_aal2_required")
        self.redirect_browser_to = redirect_browser_to
