import json
import os
import shutil
import sys
import textwrap
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...doctor import Finding, Verdict, examine, explain, in_order
from ...doctor.follow.watch import Outcome, Step, follow
from ...doctor.trial.interrupts import stoppable
from ...doctor.trial.runner import attempts
from ...exceptions import OryLogoutError
from ..faults import command_errors

USAGE = 3
INDENT, NARROWEST = "    ", 20
#: The exit status of the worst verdict. What is not known counts where there is something to do.
STATUS = {Verdict.PASS: 0, Verdict.UNKNOWN: 0, Verdict.WARN: 1, Verdict.FAIL: 2}
#: What has an effect beside the one argument that says what to do, or without any.
EFFECTS = {"explain": set[str](), "list": set[str](), "try": {"provider"}, "follow": {"seconds"}}
EFFECTS_ALONE = {"provider", "only"}
FOLLOWED_SECONDS, LONGEST_SECONDS = 60, 24 * 60 * 60


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ArgumentTypeError(_("It takes more than 0 seconds, and at most a day."))
    return seconds


def _require_effect(options: dict[str, Any]) -> None:
    """No argument is left out of account."""
    what = next((one for one in EFFECTS if options[one] not in {None, False}), None)
    effects = EFFECTS[what] if what else EFFECTS_ALONE
    for name in {"provider", "only", "seconds"} - effects:
        if options[name]:
            words = _("--%(name)s has no effect with --%(what)s.") if what else _("--%(name)s needs --follow.")
            raise CommandError(words % {"name": name, "what": what}, returncode=USAGE)


class Command(BaseCommand):
    help = (
        "Find out why a logout did nothing. Reads, and changes nothing, unless --try. "
        "At Hydra it begins logouts which nobody answers; nothing ends by that. "
        "Exits with 0 when there is nothing to do, 1 when a row warns or is not known and there is something to do, "
        "2 when one fails, 3 when it is not clear what to do."
    )
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """As always, but that wrong arguments are 3: argparse's 2 stands for a row that fails."""
        try:
            self.create_parser(argv[0], argv[1]).parse_args(argv[2:])
        except CommandError as error:
            self.stderr.write(str(error))
            sys.exit(USAGE)
        super().run_from_argv(argv)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", metavar="ALIAS", help="an alias of PROVIDERS: only that, beside the site")
        parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="only these checks, or sections")
        parser.add_argument("--json", action="store_true", help="say it as JSON")
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--explain", metavar="CODE", help="what an error code, a check or a log event means")
        instead.add_argument("--list", action="store_true", help="list the checks")
        instead.add_argument(
            "--try",
            action="store_true",
            help="sign somebody synthetic in and out, and clean up; changes data meanwhile",
        )
        instead.add_argument("--follow", action="store_true", help="watch while a person logs out")
        parser.add_argument("--seconds", type=_seconds, help=f"how long to follow at most ({FOLLOWED_SECONDS})")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (self.stdout.isatty() or options["force_color"]):
            self.style = no_style()
        _require_effect(options)
        try:
            with command_errors(2), ExitStack() as stack:
                stack.callback(self.stdout.flush)
                self._handle(options)
        except KeyboardInterrupt:
            raise CommandError(_("Stopped."), returncode=2) from None
        except BrokenPipeError:
            # Nobody reads on; nor is what is still buffered written at the end of the process.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            raise CommandError(_("Stopped: nobody reads on."), returncode=2) from None

    def _handle(self, options: dict[str, Any]) -> None:
        if options["explain"] is not None:
            self._explain(options["explain"], options)
        elif options["list"]:
            self._list(options)
        elif options["follow"]:
            self._follow(options)
        elif options["try"]:
            self._try(options)
        else:
            self._report(lambda: examine(alias=options["provider"], only=options["only"]), options)

    def _report(self, find: Callable[[], Iterable[Finding]], options: dict[str, Any]) -> None:
        try:
            findings = find()
            rows = list(findings) if options["json"] else self._shown(findings)
        except (ValueError, ImproperlyConfigured, OryLogoutError) as error:
            raise CommandError(str(error), returncode=USAGE) from error
        if options["json"]:
            self.stdout.write(json.dumps([one.as_dict() for one in rows], indent=2))
        self._conclude(rows, options)

    def _conclude(self, rows: list[Finding], options: dict[str, Any]) -> None:
        statuses = [_status(one) for one in rows]
        count, unknown = sum(status > 0 for status in statuses), sum(one.verdict == Verdict.UNKNOWN for one in rows)
        words = ngettext("%(all)d row, and nothing to do.", "%(all)d rows, and nothing to do.", len(rows))
        if count:
            words = ngettext("%(count)d of %(all)d rows needs a look.", "%(count)d of %(all)d rows need a look.", count)
        elif unknown:
            words = ngettext("%(all)d row.", "%(all)d rows.", len(rows))
        words %= {"count": count, "all": len(rows)}
        if unknown:
            words += " " + ngettext("%(count)d is not known.", "%(count)d are not known.", unknown) % {"count": unknown}
        if count:
            raise CommandError(words, returncode=max(statuses))
        if not options["json"]:
            self.stdout.write(words)

    def _shown(self, findings: Iterable[Finding]) -> list[Finding]:
        """Write each row as it comes: its verdict first, so that it can be heard as well as seen."""
        shown = []
        for one in findings:
            self._show(one)
            shown.append(one)
        return shown

    def _show(self, one: Finding) -> None:
        about = f" ({one.about})" if one.about else ""
        verdict = str(one.verdict.label)
        self._wrapped(f"{verdict}  {one.check}{about}: {one.title}", "", verdict, self._style(one.verdict))
        self._wrapped(one.found)
        if one.todo:
            self._wrapped(_("To do: %(todo)s") % {"todo": one.todo})

    def _style(self, verdict: Verdict) -> Callable[[str], str]:
        style = {
            Verdict.PASS: self.style.SUCCESS,
            Verdict.WARN: self.style.WARNING,
            Verdict.FAIL: self.style.ERROR,
            Verdict.UNKNOWN: self.style.NOTICE,
        }
        return style[verdict]

    def _wrapped(self, text: str, indent: str = INDENT, beginning: str = "", style: Callable[[str], str] = str) -> None:
        """``text`` as wide as the terminal, its ``beginning`` in ``style``. What is copied, as a URL, stays whole."""
        lines = textwrap.fill(
            text,
            max(shutil.get_terminal_size((100, 24)).columns, NARROWEST),
            initial_indent=indent,
            subsequent_indent=INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.stdout.write(style(beginning) + lines.removeprefix(beginning))

    def _try(self, options: dict[str, Any]) -> None:
        """Rows as always. Whatever stops it, what was made is unmade first."""
        say = (lambda row: self.stdout.write(json.dumps([row.as_dict()]))) if options["json"] else self._show
        with stoppable(), ExitStack() as stack:
            self._report(
                lambda: stack.enter_context(closing(attempts(alias=options["provider"], when_stopped=say))), options
            )

    def _follow(self, options: dict[str, Any]) -> None:
        """Each step as it happens. With ``--json``, an object a line."""
        say = (lambda said: self.stdout.write(json.dumps(said.as_dict()))) if options["json"] else self._say
        missing = None
        try:
            for said in follow(options["seconds"] or FOLLOWED_SECONDS, when_ready=lambda: self._ready(options)):
                say(said)
                self.stdout.flush()
                missing = said.missing if isinstance(said, Outcome) else None
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=USAGE) from error
        if missing:
            raise CommandError(_("Did not come: %(step)s.") % {"step": missing.step}, returncode=2)

    def _ready(self, options: dict[str, Any]) -> None:
        seconds = options["seconds"] or FOLLOWED_SECONDS
        words = _("Now log out. Steps are kept for %(seconds)d s.") % {"seconds": seconds}
        self.stdout.write(json.dumps({"following": seconds}) if options["json"] else words)
        self.stdout.flush()

    def _say(self, said: Step | Outcome) -> None:
        if isinstance(said, Step):
            self._wrapped(f"+{said.seconds:.2f} s  {said.clock}  {said.words}", "")
        elif said.missing is None:
            self.stdout.write(self.style.SUCCESS(_("All that was expected came.")))
        else:
            self.stdout.write(
                self.style.ERROR(_("The first step that did not come: %(step)s.") % {"step": said.missing.step})
            )
            self._wrapped(f"{said.missing.id}: {said.missing.means}")
            self._wrapped(_("See: %(rows)s") % {"rows": ", ".join(said.missing.rows)})

    def _list(self, options: dict[str, Any]) -> None:
        listed = [{"check": one.id, "title": str(one.title), "about": one.scope.value} for one in in_order()]
        if options["json"]:
            self.stdout.write(json.dumps(listed, indent=2))
            return
        for one in listed:
            self._wrapped(f"{one['check']}: {one['title']}", "")

    def _explain(self, code: str, options: dict[str, Any]) -> None:
        found = explain(code)
        if not found:
            words = _("Nothing is called %(code)r. --list lists the checks.")
            raise CommandError(words % {"code": code}, returncode=USAGE)
        if options["json"]:
            self.stdout.write(json.dumps([asdict(one) for one in found], indent=2))
            return
        for one in found:
            self._wrapped(f"{one.name} ({one.page}, {one.section})", "")
            for text in one.texts:
                self._wrapped(text)


def _status(one: Finding) -> int:
    """The exit status that a row asks for."""
    return max(STATUS[one.verdict], int(bool(one.todo)))
