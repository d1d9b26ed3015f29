"""`singcli completion`."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from singcli.cli.completing import WORD_VARIABLE
from singcli.cli.console import Console

EXAMPLES = (
    (
        "bash, kept in the folder that bash-completion looks into",
        "singcli completion bash > ~/.local/share/bash-completion/completions/singcli",
    ),
    (
        "zsh, in a folder of $fpath, before compinit runs",
        "singcli completion zsh > ~/.zfunc/_singcli",
    ),
    (
        "fish",
        "singcli completion fish > ~/.config/fish/completions/singcli.fish",
    ),
    (
        "PowerShell: keep it, and load it in your $PROFILE with `. ~/singcli.ps1`",
        "singcli completion powershell > ~/singcli.ps1",
    ),
)

# Each calls singcli as singcli.cli.completing says, and completes files where it answers nothing.
BASH = r"""
_singcli() {
    local value help
    COMPREPLY=()
    while IFS=$'\t' read -r value help; do
        printf -v value '%q' "$value"
        COMPREPLY+=("$value")
    done < <(@VARIABLE@=":$2" "$1" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
}
complete -o bashdefault -o default -F _singcli singcli
"""

ZSH = r"""
#compdef singcli
_singcli() {
    local value help
    local -a values shown
    while IFS=$'\t' read -r value help; do
        values+=("$value")
        shown+=("$value${help:+  -- $help}")
    done < <(@VARIABLE@=":${(Q)PREFIX}" "${(Q)words[1]}" "${(@Q)words[2,CURRENT-1]}" 2>/dev/null)
    if (( $#values )); then
        compadd -l -d shown -a values
    else
        _files
    fi
}
if [[ $funcstack[1] == _singcli ]]; then
    _singcli "$@"
else
    compdef _singcli singcli
fi
"""

FISH = r"""
function __singcli_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -l found (env @VARIABLE@=":$word" $before 2>/dev/null)
    if count $found >/dev/null
        printf '%s\n' $found
    else
        __fish_complete_path $word
    end
end
complete -c singcli -f -a '(__singcli_complete)'
"""

POWERSHELL = r"""
Register-ArgumentCompleter -Native -CommandName singcli -ScriptBlock {
    param($word, $ast, $cursor)
    $before = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } |
        ForEach-Object { if ($null -ne $_.Value) { $_.Value } else { $_.Extent.Text } })
    $rest = @($before | Select-Object -Skip 1)
    $Env:@VARIABLE@ = ":$word"
    try {
        & $before[0] @rest 2>$null | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            $text = if ($value -match "[^\w.=/-]") { "'" + $value.Replace("'", "''") + "'" }
                    else { $value }
            [System.Management.Automation.CompletionResult]::new(
                $text, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:@VARIABLE@
    }
}
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH, "powershell": POWERSHELL}


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish", "powershell"], typer.Argument(help="Whose script to print.")
    ],
) -> None:
    """Print a script with which your shell completes commands, options and names of presets.

    Nothing is installed or changed: keep the script where your shell finds it, as below, or try it
    in an open shell: `source <(singcli completion bash)`, `singcli completion fish | source`. It
    asks singcli for the words, so it stays right when singcli is updated.
    """
    console = Console()
    console.result(SCRIPTS[shell].strip().replace("@VARIABLE@", WORD_VARIABLE))
    if sys.stdout.isatty():
        console.status(f"where to keep it: singcli completion {shell} --help")
