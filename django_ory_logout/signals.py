"""The signals of this package. They are sent after the commit. An exception of a receiver is only logged."""

from django.dispatch import Signal

#: A user signed in through a provider. Arguments: ``request``, ``login_session`` (:class:`~.models.LoginSession`).
login_session_opened = Signal()

#: A login session ended. It can be sent more than once. Arguments: ``login_session`` (its row is deleted), ``reason``
#: (:class:`~.models.EndReason`).
login_session_ended = Signal()

#: A front- or back-channel notice was not accepted. Arguments: ``channel`` ("front-channel" or "back-channel"),
#: ``code`` (see :mod:`~.exceptions`).
logout_notice_refused = Signal()
