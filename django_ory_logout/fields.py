"""A foreign key to the site's user model that works when users are in another database."""

from typing import TYPE_CHECKING, Any

from django.db import models, router
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor

if TYPE_CHECKING:
    Descriptor = ForwardManyToOneDescriptor[Any]
else:
    Descriptor = ForwardManyToOneDescriptor


class UserDescriptor(Descriptor):
    """Reads the user where the router has users; Django would look in the database of the row."""

    def get_queryset(self, **hints: Any) -> models.QuerySet[Any]:
        users = super().get_queryset(**hints)
        return users.using(router.db_for_read(users.model))

    def __set__(self, instance: models.Model, value: Any) -> None:
        """Take a user of any database. Django would ask the router's ``allow_relation``, which refuses by default."""
        if not isinstance(value, self.field.remote_field.model._meta.concrete_model):
            super().__set__(instance, value)
            return
        setattr(instance, self.field.attname, value.pk)
        self.field.set_cached_value(instance, value)


class UserKey(models.ForeignKey[Any, Any]):
    """Give it ``db_constraint=False`` and ``DO_NOTHING``: no database and no query reaches into another one."""

    forward_related_accessor_class = UserDescriptor

    def deconstruct(self) -> tuple[str, str, Any, dict[str, Any]]:
        """In migrations it is Django's own."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.ForeignKey", args, kwargs
