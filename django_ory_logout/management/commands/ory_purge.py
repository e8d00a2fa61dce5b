from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ... import sessions


class Command(BaseCommand):
    help = "Work off logout notices that a fault interrupted, and remove what expired. Run it every few minutes."

    def handle(self, *args: Any, **options: Any) -> None:
        purged = sessions.purge()
        self.stdout.write(
            f"{purged.completed} notices worked off, {purged.ended} login sessions ended, "
            f"{purged.expired} expired, {purged.deleted} old receipts removed"
        )
        if purged.failed:
            raise CommandError(f"{purged.failed} notices could not be worked off; see the log")
