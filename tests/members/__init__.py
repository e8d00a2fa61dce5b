"""A user model of a site's own: a UUID as key, an e-mail address as user name, and a field that has to have a value."""
