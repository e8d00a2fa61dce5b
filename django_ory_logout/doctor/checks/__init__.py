"""The checks of the doctor. The name of a module begins with the section of its checks in the report.

``logout_probe`` has no checks: the sections ``registration`` and ``history`` both need a probe of a logout.
"""
