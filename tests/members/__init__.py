"""A site's own user model: a UUID as key, an e-mail address as username, and a required field."""
