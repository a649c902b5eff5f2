//! The functions that shells call on Tab.

/// The shells that have one.
pub(crate) const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Returns a shell's script, to be sourced by it.
pub(crate) fn script(shell: &str) -> Option<&'static str> {
    match shell {
        "bash" => Some(BASH),
        "zsh" => Some(ZSH),
        "fish" => Some(FISH),
        _ => None,
    }
}

/// Bash splits words at `=` and `:` too, and replaces only what is behind the last of them; so what
/// comes before that is taken off each candidate.
const BASH: &str = r#"# wharf's completion for bash: source <(wharf completion bash)
_wharf() {
    local word=${COMP_WORDS[COMP_CWORD]} before line
    local -a answer
    [[ $word == [=:] ]] && word=
    mapfile -t answer < <("$1" __complete --line "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    COMPREPLY=()
    ((${#answer[@]} > 1)) || return 0
    before=${answer[0]#=}
    before=${before%"$word"}
    for line in "${answer[@]:1:${#answer[@]}-2}"; do
        line=${line%%$'\t'*}
        [[ $line == *[=:] ]] && compopt -o nospace 2>/dev/null
        COMPREPLY+=("${line#"$before"}")
    done
    case ${answer[-1]} in
        :files) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        :folders) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        *) return 0 ;;
    esac
    compopt -o filenames 2>/dev/null
    return 0
}
complete -F _wharf wharf
"#;

const ZSH: &str = r#"#compdef wharf
# wharf's completion for zsh: source <(wharf completion zsh), or a file _wharf in $fpath
_wharf() {
    local line value
    local -a answer plain plain_shown open open_shown
    answer=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    (( ${#answer} > 1 )) || return 1
    for line in "${(@)answer[2,-2]}"; do
        value=${line%%$'\t'*}
        if [[ $value == *[=:] ]]; then
            open+=("$value")
            open_shown+=("$value  ${line#*$'\t'}")
        else
            plain+=("$value")
            plain_shown+=("$value  ${line#*$'\t'}")
        fi
    done
    case ${answer[-1]} in
        :files) _files; return ;;
        :folders) _files -/; return ;;
    esac
    (( ${#open} )) && compadd -l -S '' -d open_shown -a open
    (( ${#plain} )) && compadd -l -d plain_shown -a plain
    (( ${#open} + ${#plain} ))
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _wharf "$@"
else
    compdef _wharf wharf
fi
"#;

const FISH: &str = r#"# wharf's completion for fish: wharf completion fish | source
function __wharf_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l answer ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    test (count $answer) -gt 1; or return
    switch $answer[-1]
        case :files
            __fish_complete_path (commandline -ct)
        case :folders
            __fish_complete_directories (commandline -ct)
        case '*'
            test (count $answer) -gt 2; and string join \n -- $answer[2..-2]
    end
end
complete -c wharf -f -a '(__wharf_complete)'
"#;
