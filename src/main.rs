//! wharf: runs containers and shows them.

use std::ffi::OsString;

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let rest = arguments.get(1..).unwrap_or_default();
    // In the built-in image this program stands behind each of its small programs' names. The
    // engine, for its part, starts this program again for its own ends; such a process must still
    // have one thread only.
    let code = match arguments.first().and_then(|name| wharf_demo::program_of(name)) {
        Some(program) => wharf_demo::main(program, rest),
        None => match wharf_engine::hidden_mode(rest) {
            Some(code) => code,
            None => wharf_cli::main(arguments),
        },
    };
    std::process::exit(code);
}
