"""Users of the site's user model: their user names, their fields, and why one is not created."""

from .creation import create, delete_if_new, delete_user_data, find, save
from .fields import UNSTORABLE, storable_values, unstorable_values, verified_email
from .refusals import receiver_faults, sign_in_error
from .usernames import address_missing, available_usernames, is_free, names_are_addresses

__all__ = [
    "UNSTORABLE",
    "address_missing",
    "available_usernames",
    "create",
    "delete_if_new",
    "delete_user_data",
    "find",
    "is_free",
    "names_are_addresses",
    "receiver_faults",
    "save",
    "sign_in_error",
    "storable_values",
    "unstorable_values",
    "verified_email",
]
