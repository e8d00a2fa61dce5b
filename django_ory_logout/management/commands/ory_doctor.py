import json
import shutil
import sys
import textwrap
from argparse import ArgumentParser
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
from ...doctor.follow import Outcome, Step, follow
from ...doctor.synthetic import attempts
from ...exceptions import OryLogoutError

USAGE = 3
INDENT, NARROWEST = "    ", 20
#: The exit status of the worst verdict.
STATUS = {Verdict.PASS: 0, Verdict.UNKNOWN: 0, Verdict.WARN: 1, Verdict.FAIL: 2}


class Command(BaseCommand):
    help = (
        "Find out why a logout did nothing. Reads, and changes nothing, unless --try. "
        "Exits with 0 when no row is worse than pass or not known, 1 when one warns, 2 when one fails, "
        "3 when it is not clear what to do."
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
        parser.add_argument("--seconds", type=float, default=60, help="how long to follow at most (%(default)d)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (self.stdout.isatty() or options["force_color"]):
            self.style = no_style()
        if options["explain"]:
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
        status = max((STATUS[one.verdict] for one in rows), default=0)
        if status:
            count = sum(STATUS[one.verdict] > 0 for one in rows)
            words = ngettext("%(count)d of %(all)d rows needs a look.", "%(count)d of %(all)d rows need a look.", count)
            raise CommandError(words % {"count": count, "all": len(rows)}, returncode=status)
        if not options["json"]:
            words = ngettext("%(all)d row, and nothing to do.", "%(all)d rows, and nothing to do.", len(rows))
            self.stdout.write(words % {"all": len(rows)})

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
        with ExitStack() as stack:
            try:
                self._report(lambda: stack.enter_context(closing(attempts(alias=options["provider"]))), options)
            except KeyboardInterrupt:
                raise CommandError(_("Stopped."), returncode=2) from None

    def _follow(self, options: dict[str, Any]) -> None:
        """Each step as it happens. With ``--json``, an object a line."""
        say = (lambda said: self.stdout.write(json.dumps(said.as_dict()))) if options["json"] else self._say
        missing = None
        try:
            for said in follow(options["seconds"], when_ready=lambda: self._ready(options)):
                say(said)
                self.stdout.flush()
                missing = said.missing if isinstance(said, Outcome) else None
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=USAGE) from error
        except KeyboardInterrupt:
            raise CommandError(_("Stopped."), returncode=2) from None
        if missing:
            raise CommandError(_("Did not come: %(step)s.") % {"step": missing.step}, returncode=2)

    def _ready(self, options: dict[str, Any]) -> None:
        seconds = options["seconds"]
        words = _("Now log out. Steps are kept for %(seconds)d s.") % {"seconds": seconds}
        self.stdout.write(json.dumps({"following": seconds}) if options["json"] else words)
        self.stdout.flush()

    def _say(self, said: Step | Outcome) -> None:
        if isinstance(said, Step):
            self.stdout.write(f"+{said.seconds:.2f} s  {said.clock}  {said.words}")
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
