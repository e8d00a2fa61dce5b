"""The forms of the pages."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


class LoginForm(AuthenticationForm):
    """Django's own, and whether the session outlives the browser. Hydra remembers the login either way."""

    remember = forms.BooleanField(
        label=_("Remember this sign-in"),
        help_text=_(
            "Not on a computer that others use: without this, you are signed out when the browser is closed. Logging "
            "out ends it everywhere, with and without."
        ),
        required=False,
        initial=True,
    )
