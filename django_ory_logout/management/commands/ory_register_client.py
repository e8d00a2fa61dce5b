import json
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ... import conf
from ...exceptions import OryLogoutError
from ...flows import client_registration
from ...flows.client_registration import Choices, Difference
from ...force.targets import named_provider
from ...ory.hydra import HydraAdmin
from ..faults import command_errors

USAGE = 2


class Command(BaseCommand):
    help = (
        "Register this site's URLs at Hydra, after showing what is different there. "
        "Exits with 0 when all is as it should be, 1 when --check finds a difference, 2 when Hydra cannot be asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", help="an alias of PROVIDERS, where there are several")
        parser.add_argument(
            "--check", action="store_true", help="write nothing; exit with 1 when something is different"
        )
        parser.add_argument("--exact", action="store_true", help="remove redirect URIs that are not this site's")
        parser.add_argument(
            "--frontchannel",
            action=BooleanOptionalAction,
            default=True,
            help="be told by the front channel too; without it, logging out is quicker",
        )
        parser.add_argument(
            "--skip-logout-consent",
            action=BooleanOptionalAction,
            help="ask nobody whether they want to log out, when this site sends them; left as it is unless given",
        )
        parser.add_argument("--json", action="store_true", help="say it as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with command_errors(USAGE):
            self._handle(options)

    def _handle(self, options: dict[str, Any]) -> None:
        try:
            config = named_provider(options["provider"])
        except ValueError as error:
            raise CommandError(str(error), returncode=USAGE) from error
        if config.hydra is None:
            raise CommandError(f"PROVIDERS[{config.alias!r}] has no HYDRA.", returncode=USAGE)
        choices = Choices(options["exact"], options["frontchannel"], options["skip_logout_consent"])
        try:
            found = self._registered(config.hydra, config, choices, options)
        except OryLogoutError as error:
            raise CommandError(f"Hydra cannot be asked: {error}", returncode=USAGE) from error
        if found and options["check"]:
            raise CommandError("The client is not registered as this site is.", returncode=1)

    def _registered(
        self, hydra: HydraAdmin, config: conf.ProviderConfig, choices: Choices, options: dict[str, Any]
    ) -> Sequence[Difference]:
        """Show what is different, and unless that was all, write it."""
        client_id = config.registration.client_id
        registered = client_registration.registered_client(hydra, client_id)
        found = client_registration.differences(registered, client_registration.wanted(config, registered, choices))
        writes = bool(found) and not options["check"]
        if not options["json"]:
            self._say(client_id, found, is_known=registered is not None)
        if writes:
            written = client_registration.write(hydra, config, registered, found)
            if written.client_id != client_id:
                raise CommandError(f"Hydra chose another id: set CLIENT_ID to {written.client_id!r}.", returncode=1)
        if options["json"]:
            document = {"client_id": client_id, "exists": registered is not None, "written": writes}
            self.stdout.write(json.dumps({**document, "differences": client_registration.as_dict(found)}, indent=2))
        elif writes:
            self.stdout.write("Updated." if registered else "Created.")
        return found

    def _say(self, client_id: str, found: Sequence[Difference], is_known: bool) -> None:
        if not is_known:
            self.stdout.write(f"Hydra knows no client {client_id!r}.")
        elif not found:
            self.stdout.write(f"The client {client_id!r} is registered as this site is.")
        for one in found:
            self.stdout.write(one.name)
            if is_known:
                self.stdout.write(f"  - {json.dumps(one.registered)}")
            self.stdout.write(f"  + {json.dumps(one.wanted)}")
