"""A table in each form in which it may be shown."""
