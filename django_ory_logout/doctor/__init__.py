"""Find out why a logout did nothing: check settings, provider, receivers, registration and recent events.

Each check has its own rows in the report. A check only reads. Where it cannot see, it says *not known*.
It never guesses.
"""

from .explanations import Explanation, explain
from .findings import CHECKS, Check, Finding, Verdict
from .runner import ordered_checks, run_checks

__all__ = ["CHECKS", "Check", "Explanation", "Finding", "Verdict", "explain", "ordered_checks", "run_checks"]
