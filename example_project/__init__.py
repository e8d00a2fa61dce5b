"""A site that signs people in by django_ory_logout. ``manage.py demo`` runs it with a development provider."""
