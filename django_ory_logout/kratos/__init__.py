"""Ory Kratos: users of a Kratos session are signed in to this site, and log out with each kind of client.

A session at Kratos opens a login session of ours: the issuer is Kratos' public URL, the subject is the identity, and
the ``sid`` is the session at Kratos. Kratos sends no logout notices, so each logout that begins here stores a receipt,
as a notice does. If Kratos could not end its session, the receipt keeps that session from signing in again.
"""
