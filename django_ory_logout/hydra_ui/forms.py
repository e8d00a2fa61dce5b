"""The forms of the pages."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


class LoginForm(AuthenticationForm):
    """Django's form, with a field to keep the session when the browser is closed. Hydra remembers every login."""

    remember = forms.BooleanField(
        label=_("Remember this sign-in"),
        help_text=_(
            "Untick this on a computer that others use: you are then signed out when the browser is closed. Either "
            "way, logging out ends the sign-in everywhere."
        ),
        required=False,
        initial=True,
    )
