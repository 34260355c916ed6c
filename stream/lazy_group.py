"""A group of commands that imports a command's module when it is used, and ends in one line.

Rules of the room: what goes wrong ends in one line and a status that says so, for every command:
2 wrong arguments, 1 the world or the settings, 130 Ctrl-C. Only our own mistakes show a traceback.
"""

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from stream.settings import SettingsError

STATUS_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
# What the extra `export` brings, as it is imported. What else is missing is our mistake.
EXTRAS = frozenset({"matplotlib", "onnx", "optuna", "scipy", "sklearn", "threadpoolctl", "torch"})
# What click calls its types, in words.
PLAIN: Mapping[str, str] = {
    "integer": "whole number", "integer range": "whole number",
    "float": "number", "float range": "number",
}  # fmt: skip


class LazyGroup(click.Group):
    """A group whose commands are `PACKAGE.PREFIXNAME:command` (NAME with `_` for `-`)."""

    def __init__(
        self,
        *args: Any,
        package: str,
        names: Mapping[str, str],
        prefix: str = "",
        **extra: Any,
    ) -> None:
        super().__init__(*args, **extra)
        self._package = package
        self._prefix = prefix  # of the modules: a group within a group has files beside it
        self._names = names  # command -> one line of help, in the order of --help

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands in their order above."""
        return list(self._names)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._names:
            return None
        file = self._prefix + cmd_name.replace("-", "_")
        module = importlib.import_module(f"{self._package}.{file}")
        command: click.Command = module.command
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and end with a status; what went wrong is one line on standard error."""
        status = 0
        try:
            returned = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            status = returned if isinstance(returned, int) else 0  # what ctx.exit was given
        except click.Abort as error:
            stopped = isinstance(error.__context__, KeyboardInterrupt)
            click.echo("stopped" if stopped else "not done", err=True)
            status = STATUS_INTERRUPTED if stopped else 1
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = error.exit_code
        except click.UsageError as error:
            click.echo(f"Error: {_one_line(error)}", err=True)
            status = error.exit_code
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except (SettingsError, ConnectionError, TimeoutError) as error:
            click.echo(f"Error: {error}", err=True)
            status = 1
        except OSError as error:  # no right to write, no room, a file where a folder should be
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"Error: {where}{(error.strerror or str(error)).lower()}", err=True)
            status = 1
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in EXTRAS or _is_installed(package):
                raise
            click.echo(
                f"Error: the package {package} is not installed: `make setup` installs all that"
                " training needs; without a clone `pip install 'forecart[export]'`",
                err=True,
            )
            status = 1
        if standalone_mode:
            sys.exit(status)
        return status

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._names.items()))


def _is_installed(package: str) -> bool:
    """Whether it is here, and only a part of it is missing: another version, or our mistake."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a test has taken it away
        return False


def _one_line(error: click.UsageError) -> str:
    """Say what is wrong, what was perhaps meant, and where to read on."""
    said = " ".join(error.format_message().split())  # choices come a line each
    for kind, plain in PLAIN.items():
        said = said.replace(f"is not a valid {kind}.", f"is no {plain}.")
    if error.ctx is None:
        return said
    mistyped = re.match(r"No such command '(.+)'", said)
    if mistyped and isinstance(error.ctx.command, click.Group):
        known = error.ctx.command.list_commands(error.ctx)
        near = difflib.get_close_matches(mistyped[1], known, n=1)
        said += f" Did you mean {near[0]!r}?" if near else ""
    stop = "" if said.endswith((".", "?")) else "."
    return f"{said}{stop} See `{error.ctx.command_path} --help`."
