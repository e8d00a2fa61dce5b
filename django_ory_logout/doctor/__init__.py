"""Why did this logout do nothing? Looks at settings, provider, receivers, registration and what happened.

One check, one row. A check reads, and changes nothing; it says *not known* where it cannot see, and never guesses.
"""

from .explanations import Explanation, explain
from .findings import CHECKS, Check, Finding, Verdict
from .runner import examine, in_order

__all__ = ["CHECKS", "Check", "Explanation", "Finding", "Verdict", "examine", "explain", "in_order"]
