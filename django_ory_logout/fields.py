"""A foreign key to the site's user model that works when users are in another database."""

from typing import TYPE_CHECKING, Any

from django.db import models, router
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor

if TYPE_CHECKING:
    Descriptor = ForwardManyToOneDescriptor[Any]
else:
    Descriptor = ForwardManyToOneDescriptor


class UserDescriptor(Descriptor):
    """Reads the user from the router's database for users. Django would read from the database of the row."""

    def get_queryset(self, **hints: Any) -> models.QuerySet[Any]:
        users = super().get_queryset(**hints)
        return users.using(router.db_for_read(users.model))

    def __set__(self, instance: models.Model, value: Any) -> None:
        """Accept a user of any database. Django would call the router's ``allow_relation``: by default, it refuses."""
        if not isinstance(value, self.field.remote_field.model._meta.concrete_model):
            super().__set__(instance, value)
            return
        setattr(instance, self.field.attname, value.pk)
        self.field.set_cached_value(instance, value)


class UserKey(models.ForeignKey[Any, Any]):
    """Use it with ``db_constraint=False`` and ``DO_NOTHING``: a database can check and delete only its own rows."""

    forward_related_accessor_class = UserDescriptor

    def deconstruct(self) -> tuple[str, str, Any, dict[str, Any]]:
        """Migrations contain Django's ``ForeignKey``."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.ForeignKey", args, kwargs
