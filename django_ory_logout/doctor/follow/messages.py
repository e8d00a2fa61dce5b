"""What it means that a step of a logout did not come, in words."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

#: What it means that a step did not come, and which checks tell more.
MESSAGES: Mapping[str, tuple[str | Promise, tuple[str, ...]]] = {
    "nothing": (
        gettext_lazy(
            "No step of a logout reached this site. Of a logout elsewhere it hears by a notice alone, and none came: "
            "it was sent to nobody or to another address, or the provider had nothing to end, or ended all logins of a "
            "subject at once, of which Hydra tells nobody."
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
        gettext_lazy("No session ended here while it was watched: it had ended before, or belongs to another site."),
        ("history.notices", "site.sessions"),
    ),
    "ended after notice": (
        gettext_lazy(
            "A notice came and was accepted, and it names no session here: that session had ended before, or the "
            "notice names another sid than the one that was signed in with."
        ),
        ("history.notices", "history.sid", "history.known_at_hydra"),
    ),
    "refused": (
        gettext_lazy(
            "A notice came, and this site refused it: {code}. manage.py ory_doctor --explain {code} says why."
        ),
        ("history.refused", "provider.keys", "provider.issuer"),
    ),
    "refused unverified": (
        gettext_lazy(
            "A notice came, and this site refused it: {code}. If it is the provider's, manage.py ory_doctor --explain "
            "{code} says why; but anybody can send one like that, and then none came from the provider."
        ),
        ("history.refused", "provider.keys", "provider.issuer", "registration.backchannel"),
    ),
    "ended after request": (
        gettext_lazy(
            "This site's page was loaded in a frame, and named no session here: that session had ended before, or the "
            "frame names another sid than the one that was signed in with. Anybody can load it, not the provider alone."
        ),
        ("history.known_at_hydra", "history.sid", "registration.frontchannel"),
    ),
    "to_provider": (
        gettext_lazy(
            "The session ended here, and the browser was not sent on: this site found no end session endpoint, or not "
            "the provider. There the login lives, and nobody else is told."
        ),
        ("provider.discovery", "provider.issuer", "provider.endpoints"),
    ),
    "returned": (
        gettext_lazy(
            "The browser went to the provider and did not come back, and no notice came either: the provider shows an "
            "error page, or its question was left unanswered. There the login lives."
        ),
        ("history.logout_request", "registration.post_logout_redirect_uri", "registration.skip_logout_consent"),
    ),
    "returned after notice": (
        gettext_lazy(
            "The provider ended its login and told this site, and the browser did not come back: it was closed, or "
            "the provider's page still waits for a frame."
        ),
        ("receiver.frontchannel", "registration.post_logout_redirect_uri"),
    ),
    "back_channel": (
        gettext_lazy(
            "The browser came straight back, and no notice came. Either the provider had nothing to end, because the "
            "login was not remembered: then it lives on elsewhere. Or its notice does not reach this site."
        ),
        ("history.logout_request", "registration.backchannel", "receiver.backchannel", "registration.address"),
    ),
    "back_channel after notice": (
        gettext_lazy(
            "The provider ended its login, for its page loaded this site's in a frame. Its back-channel notice does "
            "not reach this site: sessions in other browsers are not told."
        ),
        ("registration.backchannel", "receiver.backchannel", "registration.address"),
    ),
    "front_channel": (
        gettext_lazy(
            "The browser came back, and the provider's page did not load this site's in a frame: the login was not "
            "remembered, or the frame was blocked."
        ),
        ("history.logout_request", "registration.frontchannel", "receiver.frontchannel"),
    ),
    "told_kratos": (
        gettext_lazy(
            "The session ended here, and Kratos was not told: there it lives. This site refuses it from now on."
        ),
        ("kratos.public", "kratos.cookie"),
    ),
}
