//! The command line: parse, call, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    eigenlens::cli::main()
}
