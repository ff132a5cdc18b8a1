"""`tf-jmvae completion`: prints a shell's completion script."""

import contextlib
import importlib
import io
import re
from dataclasses import dataclass
from typing import Annotated, Literal, Union

import tyro

from tf_jmvae.cli.common import CONFIG, Common


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Print a script with which a shell completes verbs, options, their choices and files.

    Examples:
      tf-jmvae completion bash > ~/.local/share/bash-completion/completions/tf-jmvae
      tf-jmvae completion zsh > ~/.zfunc/_tf-jmvae      (with fpath+=~/.zfunc before compinit)
      tf-jmvae completion fish > ~/.config/fish/completions/tf-jmvae.fish
    """

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]
    """The shell that the script is for."""


def run(options: Options) -> None:
    """Prints the completion script."""
    print(script(options.shell), end="")


def script(shell: str) -> str:
    """Returns the completion script of all verbs."""
    from tf_jmvae.cli.program import VERBS

    verbs = []
    for name, summary in VERBS.items():
        module = importlib.import_module(f"tf_jmvae.cli.{name}")
        default = {"default": module.of_preset()} if hasattr(module, "of_preset") else {}
        subcommand = tyro.conf.subcommand(name, description=summary, prefix_name=False, **default)
        verbs.append(Annotated[module.Options, subcommand])
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        tyro.cli(Union[*verbs], prog="tf-jmvae", args=["--tyro-print-completion", shell], config=CONFIG)
    # Bash would offer the second line of a description as another option.
    return re.sub(
        r"^COMPLETION_SPEC = .*", lambda spec: spec[0].replace(r"\n", " "), text.getvalue(), flags=re.MULTILINE
    )
