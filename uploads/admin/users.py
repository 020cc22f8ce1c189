"""Users and groups, on our site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from uploads.admin.site import site

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest

    AnyUserAdmin = UserAdmin[User]
else:
    AnyUserAdmin = UserAdmin


class PeopleAdmin(AnyUserAdmin):
    """Django's, where only a superuser hands out rights, or touches another superuser."""

    list_filter = ("is_staff", "is_superuser", "is_active", "groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("last_login", "date_joined")
        if request.user.is_superuser:
            return fixed
        return (*fixed, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _not_above(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _not_above(request, obj)

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Any:
        """Who has acted here is kept: deleting an operator would delete what the admin log says of them."""
        chosen = list(objs)
        listed, counts, lacking, protected = super().get_deleted_objects(chosen, request)
        acted = LogEntry.objects.filter(user__in=chosen).order_by().values_list("user__username", flat=True)
        kept = [f"the admin log of {username} (deactivate them instead)" for username in acted.distinct()]
        return listed, counts, lacking, [*protected, *kept]


def _not_above(request: HttpRequest, obj: Any) -> bool:
    return obj is None or request.user.is_superuser or not obj.is_superuser


site.register(User, PeopleAdmin)
site.register(Group, GroupAdmin)
