"""The tour's test cases: every module here with a ``CASE`` is one."""
