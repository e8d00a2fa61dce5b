"""The exceptions of this package. Code checks the class; users and the documentation refer to the ``code``.

``code`` is stable and public. ``str(error)`` is for the log: exact, and never a token, a secret or a claim's value.
"""

from typing import Any, Self


class OryLogoutError(Exception):
    """The base class of all errors that this package raises on purpose."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        #: The reference of its log line; empty until it is logged for a page.
        self.reference = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


def fault_name(error: Exception) -> str:
    """The text of our own errors for the log; of others only the type, because their text can hold a session key."""
    return str(error) if isinstance(error, OryLogoutError) else type(error).__name__


class InvalidMessage(OryLogoutError):
    """The message is invalid. Sending it again does not help. Answered with 400."""


class InvalidToken(InvalidMessage):
    """A token with an invalid format, signature or claim."""


class TemporaryError(OryLogoutError):
    """Nothing can be decided now, but the message may be valid. Trying again may help. Answered with 503."""


class ProviderUnavailable(TemporaryError):
    """The provider is not reachable, answers with a fault, or may not be called again yet (cool-down)."""


class SetupError(ProviderUnavailable):
    """This site or the provider is set up wrongly. Trying again does not help; an administrator must fix it.

    Answered with 500. A logout notice is answered with 503, like any :exc:`TemporaryError`: the notice may be valid.
    """


class LogoutUnconfirmed(TemporaryError):
    """The database could not record a logout. A retry needs ``name`` and ``reason``."""

    def __init__(self, code: str, detail: str = "", *, name: Any = None, reason: str = "") -> None:
        super().__init__(code, detail)
        self.name = name
        self.reason = reason

    @classmethod
    def because_of(cls, fault: TemporaryError, *, name: Any, reason: str) -> Self:
        """The same code and detail as ``fault``."""
        return cls(fault.code, fault.detail, name=name, reason=reason)


class SignInRefused(OryLogoutError):
    """The provider or this site does not accept this user. Answered with 403."""


class LoggedOutMeanwhile(OryLogoutError):
    """The provider logged the user out during the sign-in. Answered with 409."""


class HydraError(OryLogoutError):
    """Hydra's admin API refuses a call. Trying again does not help."""


class ChallengeHandled(HydraError):
    """This login, consent or logout request was answered before. ``redirect_to`` starts a new one."""

    def __init__(self, redirect_to: str) -> None:
        super().__init__("challenge_handled")
        self.redirect_to = redirect_to


class KratosError(OryLogoutError):
    """Kratos refuses a call. Trying again does not help."""


class SecondFactorRequired(KratosError):
    """The session is active, but this call needs a second factor. ``redirect_browser_to`` is the page for it."""

    def __init__(self, redirect_browser_to: str) -> None:
        super().__init__("session_aal2_required")
        self.redirect_browser_to = redirect_browser_to
