"""The commands that a person types: one file each, `command` in it is what `forecart NAME` runs.

Rules of the room: wrong arguments and an unreachable broker get one clear line and a non-zero exit,
never a traceback (raise `click.ClickException` or `SettingsError`). Heavy imports inside functions.
"""
