"""Production code never imports the provider for tests."""

import subprocess
import sys
from pathlib import Path

import django_ory_logout

_PROGRAM = """
import sys
from importlib import import_module

import django
from django.conf import settings

django.setup()
for name in [*sys.argv[1:], settings.ROOT_URLCONF]:
    import_module(name)
print([name for name in sys.modules if name.startswith("django_ory_logout.testing")])
"""


def test_no_module_outside_the_testing_package_imports_it() -> None:
    root = Path(django_ory_logout.__file__).parent
    files = [path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py")]
    modules = [".".join(file.parts) for file in files if file.parts[1] != "testing"]
    assert "django_ory_logout.http" in modules

    done = subprocess.run([sys.executable, "-c", _PROGRAM, *modules], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
