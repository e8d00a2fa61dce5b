"""The explanations of missing steps of a logout."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

#: For each missing step: its explanation, and the checks with more details.
MESSAGES: Mapping[str, tuple[str | Promise, tuple[str, ...]]] = {
    "nothing": (
        gettext_lazy(
            "No step of a logout reached this site. A logout elsewhere is visible only by a notice, and none came. "
            "The provider sent none, or sent it to another address, or had no login to end. Or all logins of a subject "
            "were ended at once: then Hydra sends no notices."
        ),
        (
            "receiver.backchannel",
            "registration.backchannel",
            "history.logout_request",
            "history.known_at_hydra",
            "kratos.public",
        ),
    ),
    "ended": (
        gettext_lazy("No session ended here during this time. It had ended before, or it belongs to another site."),
        ("history.notices", "site.sessions"),
    ),
    "ended after notice": (
        gettext_lazy(
            "This site accepted a notice, but the notice names no session here. That session had ended before, or the "
            "sid of the notice is not the sid of the sign-in."
        ),
        ("history.notices", "history.sid", "history.known_at_hydra"),
    ),
    "refused": (
        gettext_lazy("This site refused a notice: {code}. manage.py ory_doctor --explain {code} explains it."),
        ("history.refused", "provider.keys", "provider.issuer"),
    ),
    "refused unverified": (
        gettext_lazy(
            "This site refused a notice: {code}. manage.py ory_doctor --explain {code} explains it. Anyone can send "
            "such a notice, so perhaps it is not the provider's, and the provider sent none."
        ),
        ("history.refused", "provider.keys", "provider.issuer", "registration.backchannel"),
    ),
    "ended after request": (
        gettext_lazy(
            "A browser loaded this site's front-channel page, but the request names no session here. That session had "
            "ended before, or its sid is not the sid of the sign-in. Anyone can load this page, not only the provider."
        ),
        ("history.known_at_hydra", "history.sid", "registration.frontchannel"),
    ),
    "to_provider": (
        gettext_lazy(
            "The session ended here, but this site did not send the browser to the provider. It found no end session "
            "endpoint, or did not reach the provider. The login there is still live, and no other application is "
            "notified."
        ),
        ("provider.discovery", "provider.issuer", "provider.endpoints"),
    ),
    "returned": (
        gettext_lazy(
            "The browser went to the provider and did not come back, and no notice came. The provider shows an error "
            "page, or the user did not answer its question. The login there is still live."
        ),
        ("history.logout_request", "registration.post_logout_redirect_uri", "registration.skip_logout_consent"),
    ),
    "returned after notice": (
        gettext_lazy(
            "The provider ended its login and sent a notice, but the browser did not come back. It was closed, or the "
            "provider's page still waits for a frame."
        ),
        ("receiver.frontchannel", "registration.post_logout_redirect_uri"),
    ),
    "back_channel": (
        gettext_lazy(
            "The browser came straight back, and no notice came. Either the provider had no login to end, because it "
            "was not remembered: then other applications stay signed in. Or its notice does not reach this site."
        ),
        ("history.logout_request", "registration.backchannel", "receiver.backchannel", "registration.address"),
    ),
    "back_channel after notice": (
        gettext_lazy(
            "The provider ended its login, because its page loaded this site's page in a frame. Its back-channel "
            "notice does not reach this site, so sessions in other browsers do not end."
        ),
        ("registration.backchannel", "receiver.backchannel", "registration.address"),
    ),
    "front_channel": (
        gettext_lazy(
            "The browser came back, but the provider's page did not load this site's page in a frame. The login was "
            "not remembered, or the frame was blocked."
        ),
        ("history.logout_request", "registration.frontchannel", "receiver.frontchannel"),
    ),
    "told_kratos": (
        gettext_lazy(
            "The session ended here, but not at Kratos. From now on, this site refuses the session at Kratos."
        ),
        ("kratos.public", "kratos.cookie"),
    ),
}
