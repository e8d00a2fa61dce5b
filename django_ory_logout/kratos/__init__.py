"""Ory Kratos: a user with a session at Kratos is signed in to this site too.

They log out in rendered pages, single-page applications or native applications.

A session at Kratos opens a login session of ours: the issuer is Kratos' public URL, the subject is the identity, and
the ``sid`` is the session at Kratos. Kratos sends no logout notices, so each logout that begins here stores a receipt,
as a notice does. If Kratos could not end its session, the receipt keeps that session from signing in again.
"""
