"""The trial (``--try``): a test user signs in and out with real tokens, and is deleted afterwards."""
