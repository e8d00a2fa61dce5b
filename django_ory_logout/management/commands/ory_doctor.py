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

from ...doctor import Finding, Verdict, explain, ordered_checks, run_checks
from ...doctor.follow.watch import Outcome, Step, follow
from ...doctor.trial.interrupts import raising_keyboard_interrupt
from ...doctor.trial.runner import run_trials
from ...exceptions import OryLogoutError
from ..faults import command_errors

USAGE = 3
INDENT, NARROWEST = "    ", 20
#: The exit status of the worst verdict. A row that is not known counts as 1 if there is something to do.
STATUS = {Verdict.PASS: 0, Verdict.UNKNOWN: 0, Verdict.WARN: 1, Verdict.FAIL: 2}
STYLES = {Verdict.PASS: "SUCCESS", Verdict.UNKNOWN: "NOTICE", Verdict.WARN: "WARNING", Verdict.FAIL: "ERROR"}
#: The options that each mode uses, and those without a mode.
EFFECTS = {"explain": set[str](), "list": set[str](), "try": {"provider"}, "follow": {"seconds"}}
EFFECTS_ALONE = {"provider", "only"}
FOLLOWED_SECONDS, LONGEST_SECONDS = 60, 24 * 60 * 60


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ArgumentTypeError(_("Give more than 0 seconds, and at most one day."))
    return seconds


def _require_effect(options: dict[str, Any]) -> None:
    """Refuse options that would have no effect."""
    mode = next((name for name in EFFECTS if options[name] not in {None, False}), None)
    effects = EFFECTS[mode] if mode else EFFECTS_ALONE
    for name in {"provider", "only", "seconds"} - effects:
        if options[name]:
            message = _("--%(name)s has no effect with --%(mode)s.") if mode else _("--%(name)s needs --follow.")
            raise CommandError(message % {"name": name, "mode": mode}, returncode=USAGE)


class Command(BaseCommand):
    help = (
        "Find out why a logout did nothing. This command changes data only with --try. "
        "At Hydra, this command starts logouts that nobody confirms, so nothing ends. "
        "Exit status: 0 nothing to do; 1 a row warns, or is not known and there is something to do; "
        "2 a row fails; 3 the arguments are wrong."
    )
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Exit with 3 if the arguments are wrong. argparse would use 2, which means that a row fails."""
        try:
            self.create_parser(argv[0], argv[1]).parse_args(argv[2:])
        except CommandError as error:
            self.stderr.write(str(error))
            sys.exit(USAGE)
        super().run_from_argv(argv)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--provider", metavar="ALIAS", help="check the site and only this alias of PROVIDERS or KRATOS"
        )
        parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="run only these checks or sections")
        parser.add_argument("--json", action="store_true", help="write JSON")
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--explain", metavar="CODE", help="explain an error code, a check or a log event")
        instead.add_argument("--list", action="store_true", help="list the checks")
        instead.add_argument(
            "--try",
            action="store_true",
            help="sign a test user in and out, and clean up; this changes data",
        )
        instead.add_argument("--follow", action="store_true", help="show the steps while a user logs out")
        parser.add_argument("--seconds", type=_seconds, help=f"longest time to follow, in seconds ({FOLLOWED_SECONDS})")

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
            # The reader has closed the pipe. Python must not write the buffered rest to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            raise CommandError(_("Stopped: the output was closed."), returncode=2) from None

    def _handle(self, options: dict[str, Any]) -> None:
        try:
            if options["explain"] is not None:
                self._explain(options["explain"], options)
            elif options["list"]:
                self._list(options)
            elif options["follow"]:
                self._follow(options)
            elif options["try"]:
                self._try(options)
            else:
                self._report(run_checks(alias=options["provider"], only=options["only"]), options)
        except (ValueError, ImproperlyConfigured, OryLogoutError) as error:
            raise CommandError(str(error), returncode=USAGE) from error

    def _report(self, findings: Iterable[Finding], options: dict[str, Any]) -> None:
        """Write each row at once, or all as JSON at the end."""
        rows = []
        for row in findings:
            rows.append(row)
            if not options["json"]:
                self._show(row)
        if options["json"]:
            self._write_json([asdict(row) for row in rows])
        self._conclude(rows, options)

    def _write_json(self, document: object) -> None:
        self.stdout.write(json.dumps(document, indent=2))

    def _conclude(self, rows: list[Finding], options: dict[str, Any]) -> None:
        statuses = [_status(row) for row in rows]
        count, unknown = sum(status > 0 for status in statuses), sum(row.verdict == Verdict.UNKNOWN for row in rows)
        message = ngettext("%(all)d row, and nothing to do.", "%(all)d rows, and nothing to do.", len(rows))
        if count:
            message = ngettext(
                "%(count)d of %(all)d rows has a problem.", "%(count)d of %(all)d rows have a problem.", count
            )
        elif unknown:
            message = ngettext("%(all)d row.", "%(all)d rows.", len(rows))
        message %= {"count": count, "all": len(rows)}
        if unknown:
            message += " " + ngettext("%(count)d is not known.", "%(count)d are not known.", unknown) % {
                "count": unknown
            }
        if count:
            raise CommandError(message, returncode=max(statuses))
        if not options["json"]:
            self.stdout.write(message)

    def _show(self, row: Finding) -> None:
        """Write the row, its verdict first: screen readers read it first."""
        about = f" ({row.about})" if row.about else ""
        verdict = str(row.verdict.label)
        style = getattr(self.style, STYLES[row.verdict])
        self._wrapped(f"{verdict}  {row.check}{about}: {row.title}", "", verdict, style)
        self._wrapped(row.found)
        if row.todo:
            self._wrapped(_("To do: %(todo)s") % {"todo": row.todo})

    def _wrapped(self, text: str, indent: str = INDENT, beginning: str = "", style: Callable[[str], str] = str) -> None:
        """Write ``text`` wrapped to the terminal's width, its ``beginning`` in ``style``. URLs are not broken."""
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
        """Run the trial. If a signal stops it, it cleans up first."""
        show = (lambda row: self.stdout.write(json.dumps([asdict(row)]))) if options["json"] else self._show
        with raising_keyboard_interrupt(), closing(run_trials(alias=options["provider"], when_stopped=show)) as rows:
            self._report(rows, options)

    def _follow(self, options: dict[str, Any]) -> None:
        """Write each step at once. With ``--json``, write one object per line."""
        show = (lambda step: self.stdout.write(json.dumps(step.as_dict()))) if options["json"] else self._show_step
        missing = None
        for step in follow(options["seconds"] or FOLLOWED_SECONDS, when_ready=lambda: self._ready(options)):
            show(step)
            self.stdout.flush()
            missing = step.missing if isinstance(step, Outcome) else None
        if missing:
            raise CommandError(_("Missing: %(step)s.") % {"step": missing.step}, returncode=2)

    def _ready(self, options: dict[str, Any]) -> None:
        seconds = options["seconds"] or FOLLOWED_SECONDS
        message = _("Now log out. The doctor shows the steps for %(seconds)d s.") % {"seconds": seconds}
        self.stdout.write(json.dumps({"following": seconds}) if options["json"] else message)
        self.stdout.flush()

    def _show_step(self, step: Step | Outcome) -> None:
        if isinstance(step, Step):
            self._wrapped(f"+{step.seconds:.2f} s  {step.clock}  {step.text}", "")
        elif step.missing is None:
            self.stdout.write(self.style.SUCCESS(_("All expected steps happened.")))
        else:
            self.stdout.write(self.style.ERROR(_("The first missing step: %(step)s.") % {"step": step.missing.step}))
            self._wrapped(f"{step.missing.id}: {step.missing.explanation}")
            self._wrapped(_("See: %(rows)s") % {"rows": ", ".join(step.missing.rows)})

    def _list(self, options: dict[str, Any]) -> None:
        checks = [
            {"check": check.id, "title": str(check.title), "about": check.scope.value} for check in ordered_checks()
        ]
        if options["json"]:
            self._write_json(checks)
            return
        for check in checks:
            self._wrapped(f"{check['check']}: {check['title']}", "")

    def _explain(self, code: str, options: dict[str, Any]) -> None:
        explanations = explain(code)
        if not explanations:
            message = _("There is no explanation of %(code)r. --list lists the checks.")
            raise CommandError(message % {"code": code}, returncode=USAGE)
        if options["json"]:
            self._write_json([asdict(explanation) for explanation in explanations])
            return
        for explanation in explanations:
            self._wrapped(f"{explanation.name} ({explanation.page}, {explanation.section})", "")
            for text in explanation.texts:
                self._wrapped(text)


def _status(row: Finding) -> int:
    """The exit status for this row."""
    return max(STATUS[row.verdict], int(bool(row.todo)))
