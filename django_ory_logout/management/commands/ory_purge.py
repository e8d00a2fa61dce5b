from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...sessions import index
from ..faults import command_errors
from ..progress import Progress


class Command(BaseCommand):
    help = "Work off logout notices after a fault, and remove expired rows. Run it every few minutes."

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress(self.stderr, options["verbosity"])
        with command_errors():
            purged = index.purge(progress if progress.is_shown else None)
        summary = (
            f"{purged.completed} notices worked off, {purged.ended} login sessions ended, "
            f"{purged.expired} expired, {purged.deleted} old receipts removed"
        )
        if options["verbosity"]:
            self.stdout.write(summary)
        if purged.failed:
            raise CommandError(f"{purged.failed} notices could not be worked off; see the log")
