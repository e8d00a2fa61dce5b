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
        "Show the differences between this site and its client at Hydra, then register this site's URLs there. "
        "Exit status: 0 the client is registered; 1 --check found a difference; 2 Hydra does not answer as expected."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", help="an alias of PROVIDERS; required if there are several")
        parser.add_argument(
            "--check", action="store_true", help="change nothing, and exit with 1 if there is a difference"
        )
        parser.add_argument("--exact", action="store_true", help="remove redirect URIs that are not this site's")
        parser.add_argument(
            "--frontchannel",
            action=BooleanOptionalAction,
            default=True,
            help="register the front channel too; without it, logouts are faster",
        )
        parser.add_argument(
            "--skip-logout-consent",
            action=BooleanOptionalAction,
            help="let Hydra's logout page not ask users of this site; not changed unless given",
        )
        parser.add_argument("--json", action="store_true", help="write JSON")

    @command_errors(USAGE)
    def handle(self, *args: Any, **options: Any) -> None:
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
            raise CommandError(f"Hydra does not answer as expected: {error}", returncode=USAGE) from error
        if found and options["check"]:
            raise CommandError("The registered client differs from this site.", returncode=1)

    def _registered(
        self, hydra: HydraAdmin, config: conf.ProviderConfig, choices: Choices, options: dict[str, Any]
    ) -> Sequence[Difference]:
        """Show the differences, and write them unless ``--check`` is given."""
        client_id = config.registration.client_id
        registered = client_registration.registered_client(hydra, client_id)
        found = client_registration.differences(registered, client_registration.wanted(config, registered, choices))
        writes = bool(found) and not options["check"]
        if not options["json"]:
            self._show(client_id, found, is_known=registered is not None)
        if writes:
            written = client_registration.write(hydra, config, registered, found)
            if written.client_id != client_id:
                raise CommandError(
                    f"Hydra chose another client id. Set CLIENT_ID to {written.client_id!r}.", returncode=1
                )
        if options["json"]:
            document = {"client_id": client_id, "exists": registered is not None, "written": writes}
            self.stdout.write(json.dumps({**document, "differences": client_registration.as_dict(found)}, indent=2))
        elif writes:
            self.stdout.write("Updated." if registered else "Created.")
        return found

    def _show(self, client_id: str, found: Sequence[Difference], is_known: bool) -> None:
        if not is_known:
            self.stdout.write(f"Hydra has no client {client_id!r}.")
        elif not found:
            self.stdout.write(f"The client {client_id!r} is registered with this site's URLs.")
        for difference in found:
            self.stdout.write(difference.name)
            if is_known:
                self.stdout.write(f"  - {json.dumps(difference.registered)}")
            self.stdout.write(f"  + {json.dumps(difference.wanted)}")
