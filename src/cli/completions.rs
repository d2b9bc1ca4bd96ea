//! `yizhan completions`: prints the completion file of a shell. The files are in `deploy/completions`, for packages too.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::screen;

/// The arguments of `yizhan completions`.
#[derive(Args)]
pub(super) struct Arguments {
    /// For which shell
    shell: Shell,
}

/// A shell with a completion file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    screen::print(file(arguments.shell));
    ExitCode::SUCCESS
}

fn file(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../deploy/completions/yizhan.bash"),
        Shell::Zsh => include_str!("../../deploy/completions/_yizhan"),
        Shell::Fish => include_str!("../../deploy/completions/yizhan.fish"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap_complete::{generate, shells};

    use super::*;
    use crate::cli::man::tests::as_committed;

    /// `YIZHAN_BLESS=1` writes the files anew.
    #[test]
    fn completions_are_as_committed() {
        for (shell, name) in [(Shell::Bash, "yizhan.bash"), (Shell::Zsh, "_yizhan"), (Shell::Fish, "yizhan.fish")] {
            let (mut command, mut text) = (crate::cli::Arguments::command(), Vec::new());
            match shell {
                Shell::Bash => generate(shells::Bash, &mut command, "yizhan", &mut text),
                Shell::Zsh => generate(shells::Zsh, &mut command, "yizhan", &mut text),
                Shell::Fish => generate(shells::Fish, &mut command, "yizhan", &mut text),
            }
            as_committed(&format!("completions/{name}"), file(shell), &String::from_utf8(text).unwrap());
        }
    }
}
