import json
import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFault

from ... import conf, force
from ...database import database_fault
from ...force.report import ForcedLogout, Outcome, Untold
from ..faults import command_errors
from ..progress import Progress

USAGE, NOT_KNOWN = 2, 3


class Command(BaseCommand):
    help = (
        "Log a user out everywhere: first here, then at Kratos, then at Hydra, which notifies the other applications. "
        "Exit status: 0 everything is done; 1 a step failed; 2 the arguments do not name one user or session; "
        "3 the id is unknown everywhere."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", nargs="?", help="the username on this site")
        parser.add_argument("--subject", help="the subject of the user at the provider")
        parser.add_argument("--sid", help="end only this login session")
        provider = parser.add_mutually_exclusive_group()
        provider.add_argument("--provider", help="an alias of PROVIDERS; with a username, log out only there")
        provider.add_argument("--issuer", help="the same as --provider, by the issuer or by Kratos' public URL")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--keep-consents", action="store_true", help="do not revoke consents and their tokens")
        mode.add_argument(
            "--consents-only", action="store_true", help="revoke consents and their tokens, and end no session"
        )
        mode.add_argument(
            "--tokens-only", action="store_true", help="delete all access tokens of --client, of all users"
        )
        parser.add_argument("--client", help="the client for --consents-only or --tokens-only")
        parser.add_argument("--dry-run", action="store_true", help="show the steps, and change nothing")
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress(self.stderr, options["verbosity"])
        try:
            with command_errors():
                result = self._forced(options, progress)
        except ValueError as error:
            raise CommandError(str(error), returncode=USAGE) from error
        finally:
            progress.close()
        if options["json"]:
            self.stdout.write(json.dumps(result.as_dict(), indent=2))
        else:
            self._show(result, is_quiet=options["verbosity"] == 0)
        failed = [step for step in result.steps if step.outcome == Outcome.FAILED]
        if failed:
            causes = dict.fromkeys(f"{step.code}: {step.detail}." for step in failed if step.detail)
            todo = "Fix the cause, then run the command again."
            if result.untold:
                todo = 'Fix the cause, then run the commands under "Left to do".'
            raise CommandError(" ".join(["Not everything could be done.", *causes, todo]), returncode=1)
        if not result.is_known:
            raise CommandError(
                "Nothing was ended: this id is unknown on this site, at Hydra and at Kratos. Check the id, --provider "
                "and ADMIN_URL.",
                returncode=NOT_KNOWN,
            )

    def _forced(self, options: dict[str, Any], progress: Progress) -> ForcedLogout:
        common = {
            "provider": _alias(options["provider"], options["issuer"]),
            "dry_run": options["dry_run"],
            "progress": lambda name, done, total: progress(str(name.label), done, total),
        }
        user = {"user": _user(options["user"]), "subject": options["subject"]}
        if options["client"] and not (options["consents_only"] or options["tokens_only"]):
            raise ValueError("--client needs --consents-only or --tokens-only: a login belongs to all applications.")
        if options["tokens_only"]:
            if not options["client"] or any([*user.values(), options["sid"]]):
                raise ValueError(
                    "--tokens-only needs --client and no user, --subject or --sid: it deletes the tokens of all users."
                )
            return force.revoke_access_tokens(options["client"], **common)
        if options["consents_only"]:
            if options["sid"]:
                raise ValueError("--consents-only needs a user or --subject, and no --sid.")
            return force.revoke_consents(**user, client_id=options["client"], **common)
        return force.force_logout(**user, sid=options["sid"], consents=not options["keep_consents"], **common)

    def _show(self, result: ForcedLogout, *, is_quiet: bool) -> None:
        if not is_quiet:
            self._show_all(result)
        self._list("Left to do, before this is run again:", [_command(untold) for untold in result.untold])

    def _show_all(self, result: ForcedLogout) -> None:
        for step in result.steps:
            count = "" if step.count is None else f" ({step.count})"
            code = f": {step.code}" if step.code else ""
            self.stdout.write(f"{step.outcome.label}{code}  {step.name.label} {step.target}{count}")
        self._list("Still active:", [remark.text for remark in result.still_alive])
        self._list("Not known:", [remark.text for remark in result.unknown])

    def _list(self, title: str, lines: Sequence[str]) -> None:
        if lines:
            self.stdout.write(title)
        for line in lines:
            self.stdout.write(f"  {line}")


def _command(untold: Untold) -> str:
    """The command that ends this login session. It is quoted for a shell: a ``sid`` can be any text."""
    return shlex.join(
        ["python", "manage.py", "ory_force_logout", f"--sid={untold.sid}", f"--provider={untold.provider}"]
    )


def _user(name: str | None) -> AbstractBaseUser | None:
    if name is None:
        return None
    model = get_user_model()
    try:
        user = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
    except DatabaseFault as error:
        raise CommandError(
            f"{database_fault(error)}. Usernames cannot be looked up now. "
            "Use --subject: sessions at Kratos and at Hydra can be ended without the database.",
            returncode=1,
        ) from error
    if user is None:
        raise ValueError(f"There is no user {name!r}.")
    return user


def _alias(provider: str | None, issuer: str | None) -> str | None:
    if issuer is None:
        return provider
    config = conf.get()
    entries = [(bool(provider.hydra), provider.alias) for provider in config.of_issuer(issuer)]
    entries += [(bool(kratos.admin), kratos.alias) for kratos in config.kratos if kratos.issuer == issuer]
    if not entries:
        raise ValueError(f"No provider in the settings has the issuer {issuer!r}.")
    # The first with an admin API, otherwise the first.
    return max(entries, key=itemgetter(0))[1]
