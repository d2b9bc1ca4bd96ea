//! The program: hands over to the command line and turns its verdict into an exit code.

fn main() -> std::process::ExitCode {
    yizhan::cli::main()
}
