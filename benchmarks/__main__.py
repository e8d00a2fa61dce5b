"""``python -m benchmarks``, from the checkout."""

import os

import django


def run() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from .ending import main

    main()


run()
