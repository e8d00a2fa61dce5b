import json
import shlex
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFault

from ... import conf, force
from ...database import database_fault
from ...force.report import ForcedLogout, Outcome, StepName, Untold
from ..faults import command_errors
from ..progress import Progress

USAGE, NOT_KNOWN = 2, 3


class Command(BaseCommand):
    help = (
        "Log somebody out everywhere: here first, then at Kratos, then at Hydra, which tells the other applications. "
        "Exits with 0 when all is done, 1 when a step failed, 2 when it is not clear who is meant, 3 when nobody knows "
        "the id."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", nargs="?", help="the name that the user has on this site")
        parser.add_argument("--subject", help="who is meant, as the provider names them")
        parser.add_argument("--sid", help="one login session alone")
        provider = parser.add_mutually_exclusive_group()
        provider.add_argument("--provider", help="an alias of PROVIDERS; for a user: only there")
        provider.add_argument("--issuer", help="the same, by the provider's issuer or Kratos' public URL")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--keep-consents", action="store_true", help="leave consents, and so the tokens, as they are")
        what.add_argument(
            "--consents-only", action="store_true", help="revoke consents and their tokens, end no session"
        )
        what.add_argument(
            "--tokens-only", action="store_true", help="delete the access tokens of --client, of everybody"
        )
        parser.add_argument("--client", help="the application that --consents-only or --tokens-only is about")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--json", action="store_true", help="say it as JSON")

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
            self._say(result, is_quiet=options["verbosity"] == 0)
        failed = [step for step in result.steps if step.outcome == Outcome.FAILED]
        if failed:
            then = "first do what is left, above." if result.untold else "run it again."
            causes = dict.fromkeys(f"{step.code}: {step.detail}. " for step in failed if step.detail)
            words = f"Not everything could be done. {''.join(causes)}When the cause is mended, {then}"
            raise CommandError(words, returncode=1)
        if not result.is_known:
            raise CommandError(
                "Neither this site nor Hydra or Kratos knows that id, so nothing was ended. Compare it, --provider and "
                "ADMIN_URL.",
                returncode=NOT_KNOWN,
            )

    def _forced(self, options: dict[str, Any], progress: Progress) -> ForcedLogout:
        common = {
            "provider": _alias(options["provider"], options["issuer"]),
            "dry_run": options["dry_run"],
            "progress": _said(progress),
        }
        whom = {"user": _user(options["user"]), "subject": options["subject"]}
        if options["client"] and not (options["consents_only"] or options["tokens_only"]):
            raise ValueError("--client goes with --consents-only or --tokens-only: a login is not one application's.")
        if options["tokens_only"]:
            if not options["client"] or any([*whom.values(), options["sid"]]):
                raise ValueError("--tokens-only needs --client and nobody else: they are everybody's tokens.")
            return force.revoke_access_tokens(options["client"], **common)
        if options["consents_only"]:
            if options["sid"]:
                raise ValueError("--consents-only is about a person, not about one login session.")
            return force.revoke_consents(**whom, client_id=options["client"], **common)
        return force.force_logout(**whom, sid=options["sid"], consents=not options["keep_consents"], **common)

    def _say(self, result: ForcedLogout, *, is_quiet: bool) -> None:
        if not is_quiet:
            self._say_all(result)
        self._list("Left to do, before this is run again:", [_call(one) for one in result.untold])

    def _say_all(self, result: ForcedLogout) -> None:
        for step in result.steps:
            count = "" if step.count is None else f" ({step.count})"
            code = f": {step.code}" if step.code else ""
            self.stdout.write(f"{step.outcome.label}{code}  {step.name.label} {step.target}{count}")
        self._list("Still alive:", [remark.text for remark in result.still_alive])
        self._list("Not known:", [remark.text for remark in result.unknown])

    def _list(self, title: str, lines: Sequence[str]) -> None:
        if lines:
            self.stdout.write(title)
        for line in lines:
            self.stdout.write(f"  {line}")


def _said(progress: Progress) -> Callable[[StepName, int, int | None], None]:
    return lambda name, done, total: progress(str(name.label), done, total)


def _call(untold: Untold) -> str:
    """The command that ends this login session, ready to be pasted: a ``sid`` can be any text."""
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
            f"{database_fault(error)}. So nobody can be found by a name now. "
            "Name the person by --subject: what is at Kratos and at Hydra can be ended without it.",
            returncode=1,
        ) from error
    if user is None:
        raise ValueError(f"There is no user {name!r}.")
    return user


def _alias(provider: str | None, issuer: str | None) -> str | None:
    if issuer is None:
        return provider
    config = conf.get()
    at_providers, at_kratos = config.of_issuer(issuer), [one for one in config.kratos if one.issuer == issuer]
    askable = [one.alias for one in at_providers if one.hydra] + [one.alias for one in at_kratos if one.admin]
    aliases = [*askable, *(one.alias for one in at_providers), *(one.alias for one in at_kratos)]
    if not aliases:
        raise ValueError(f"There is no provider of {issuer!r} in the settings.")
    return aliases[0]
