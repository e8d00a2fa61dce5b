"""The forms of the pages."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


class LoginForm(AuthenticationForm):
    """Django's own, and whether Hydra shall remember the login."""

    remember = forms.BooleanField(
        label=_("Remember this sign-in"),
        help_text=_(
            "Only a sign-in that is remembered can be ended everywhere at once. Without this, logging out of one "
            "application leaves you signed in to all others."
        ),
        required=False,
        initial=True,
    )
