"""Signals of this package. Sent after the database has committed; a receiver that raises is logged, no more."""

from django.dispatch import Signal

#: A person signed in through a provider. Arguments: ``request``, ``login_session`` (:class:`~.models.LoginSession`).
login_session_opened = Signal()

#: A login session ended, at least once for each. Arguments: ``login_session`` (its row is deleted already), ``reason``
#: (:class:`~.models.EndReason`).
login_session_ended = Signal()

#: A front- or back-channel notice was not accepted. Arguments: ``channel`` ("front-channel" or "back-channel"),
#: ``code`` (see :mod:`~.exceptions`).
logout_notice_refused = Signal()
