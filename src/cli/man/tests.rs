//! Generates the manual pages and compares them with those of `deploy/man`.

use std::fmt::Write as _;
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::*;

/// Compares with a file of `deploy`; `YIZHAN_BLESS=1` writes it anew.
pub(in crate::cli) fn as_committed(name: &str, committed: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    if std::env::var_os("YIZHAN_BLESS").is_some() {
        return std::fs::write(path, generated).unwrap();
    }
    let same = committed.lines().zip(generated.lines()).take_while(|(old, new)| old == new).count();
    assert!(
        committed == generated,
        "{name} differs in line {}: run deploy/generate, then look at the difference\n  kept      {:?}\n  generated {:?}",
        same + 1,
        committed.lines().nth(same),
        generated.lines().nth(same)
    );
}

#[test]
fn the_manual_of_the_commands_is_as_committed() {
    as_committed("man/yizhan.1", COMMANDS, &commands());
}

#[test]
fn the_manual_of_the_settings_is_as_committed() {
    as_committed("man/yizhan.toml.5", SETTINGS, &settings(include_str!("../../../conf/yizhan.toml")));
}

/// Text that troff prints as it is.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    text.lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") })
        .collect()
}

fn section(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut text = Vec::new();
    render(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn commands() -> String {
    let mut root = crate::cli::Arguments::command();
    root.build();
    let man = Man::new(root.clone()).manual("Yizhan");
    let mut text = section(|w| man.render_title(w));
    text += &section(|w| man.render_name_section(w));
    text += &section(|w| man.render_synopsis_section(w));
    text += &section(|w| man.render_description_section(w));
    text += &section(|w| man.render_options_section(w));
    text += ".SH COMMANDS\n";
    for command in root.get_subcommands() {
        describe(command, &mut text);
    }
    text += AFTERWORD;
    text
}

/// A command, then those below it. Options of every command have their place at the top.
fn describe(command: &clap::Command, text: &mut String) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    let hidden = |argument: clap::Arg| {
        let general = argument.is_global_set() || argument.get_id() == "help" || argument.get_id() == "version";
        argument.hide(general)
    };
    let own = command.clone().mut_args(hidden);
    let usage = own.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").split_whitespace().collect::<Vec<_>>().join(" ");
    writeln!(text, ".SS \"{}\"", plain(&usage).trim_end().replace('"', "\\(dq")).unwrap();
    let about = own.get_long_about().or(own.get_about()).map(ToString::to_string).unwrap_or_default();
    *text += &plain(&about);
    if own.get_arguments().any(|argument| !argument.is_hide_set()) {
        let options = section(|w| Man::new(own.clone()).render_options_section(w));
        let lines = options.lines().filter(|line| !line.starts_with(".SH"));
        // The preamble of the renderer is at the top of the page already.
        let lines = lines.skip_while(|line| !line.starts_with(".TP"));
        lines.for_each(|line| writeln!(text, "{line}").unwrap());
    }
    if let Some(after) = own.get_after_long_help().or(own.get_after_help()) {
        write!(text, ".PP\n.nf\n{}.fi\n", plain(&after.to_string())).unwrap();
    }
    own.get_subcommands().for_each(|inner| describe(inner, text));
}

const AFTERWORD: &str = ".SH \"EXIT STATUS\"\n\
    .TP\n0\nAll is well.\n\
    .TP\n1\nIt went wrong: a port, a disk, a file, a refused command or message, a stop that was cut short.\n\
    .TP\n2\nThere is no such message, client or account, or the command line was not understood.\n\
    .TP\n78\nThe settings are wrong, or there is no account.\n\
    .SH ENVIRONMENT\n\
    .TP\nYIZHAN_CONFIG\nThe settings file.\n\
    .TP\nYIZHAN_PROVIDER, YIZHAN_USER, YIZHAN_SECRET_FILE, YIZHAN_SECRET\nThe account \\(lqmain\\(rq.\n\
    .TP\nYIZHAN_LISTEN, YIZHAN_ALLOW\nAddresses of the listener, and the networks that may send, with commas.\n\
    .TP\nYIZHAN_DATA_DIR, YIZHAN_HOSTNAME, YIZHAN_LOG\nThe data folder, the name in EHLO, the level of the log.\n\
    .TP\nYIZHAN__SECTION__NAME__KEY\nAny key of\n.BR yizhan.toml (5).\n\
    .TP\nTZ\nThe time zone of the log, and of budgets that count by the date.\n\
    .SH FILES\n\
    .TP\n\\&./yizhan.toml, /etc/yizhan/yizhan.toml\nThe settings file, where neither \\-\\-config nor YIZHAN_CONFIG names one.\n\
    .TP\n/var/lib/yizhan\nThe queue, of a service.\n\
    .SH \"SEE ALSO\"\n.BR yizhan.toml (5)\n";

/// The page of the settings, from the reference file: blocks of comments, each in front of a section or a key.
fn settings(reference: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        ".TH yizhan.toml 5 \"\" \"yizhan {version}\" Yizhan\n.SH NAME\nyizhan.toml \\- settings of the SMTP relay Yizhan\n.SH DESCRIPTION\n\
        A key in bold is shown with its default, any other key with an example.\n"
    );
    let mut comment = String::new();
    for line in reference.lines() {
        let line = line.trim();
        if let Some(said) = line.strip_prefix("# ") {
            write!(comment, "{}", plain(said)).unwrap();
        } else if line.is_empty() || line == "#" {
            if !comment.is_empty() {
                write!(text, ".PP\n{}", std::mem::take(&mut comment)).unwrap();
            }
        } else {
            let said = std::mem::take(&mut comment);
            let code = line.trim_start_matches('#');
            let quoted = plain(code).trim_end().replace('"', "\\(dq");
            match code.starts_with('[') {
                true => write!(text, ".SH \"{quoted}\"\n{said}"),
                false if line.starts_with('#') => write!(text, ".TP\n{}{said}", plain(code)),
                false => write!(text, ".TP\n.B \"{quoted}\"\n{said}"),
            }
            .unwrap();
        }
    }
    text + ".SH \"SEE ALSO\"\n.BR yizhan (1)\n"
}
