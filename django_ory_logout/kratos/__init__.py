"""Ory Kratos: who is signed in there is signed in here; and the logouts of each kind of client.

A session at Kratos opens a login session of ours: issuer is Kratos' public URL, subject the identity, ``sid`` the
session at Kratos. Kratos sends no notice of a logout, so that each that begins here leaves a receipt as a notice does:
what Kratos was not told of cannot sign in again.
"""
