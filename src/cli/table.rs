//! Columns for a terminal: as wide as their cells, or as the terminal allows. Pure but for the terminal's width.
//!
//! East Asian wide characters take two columns (Unicode Standard Annex 11).

use std::io::IsTerminal as _;

/// The narrowest that a column is made so that a table fits.
const NARROWEST: usize = 7;
/// Between two columns.
const GAP: &str = "  ";
/// In the place of the end of a text that was cut.
const CUT: char = '…';

/// The width of the terminal on standard output; 80 where it does not say; `None` when standard output is no terminal.
pub(super) fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
    Some(if columns == 0 { 80 } else { columns })
}

/// All rows in columns. In `most` columns of a terminal, if that is given: then the widest of the columns `flexible` are
/// cut first. Texts must have no line ends.
pub(super) fn table<const N: usize>(rows: &[[String; N]], most: Option<usize>, flexible: &[usize]) -> String {
    let mut widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
    if let Some(most) = most {
        let mut over = (widths.iter().sum::<usize>() + GAP.len() * (N - 1)).saturating_sub(most);
        while over > 0 {
            let widest = flexible.iter().copied().filter(|&column| widths[column] > NARROWEST);
            let Some(widest) = widest.max_by_key(|&column| widths[column]) else { break };
            widths[widest] -= 1;
            over -= 1;
        }
    }
    let mut text = String::new();
    for row in rows {
        let cell = |(cell, most): (&String, &usize)| {
            let cell = cut(cell, *most);
            format!("{cell}{}", " ".repeat(most - width(&cell)))
        };
        let line = row.iter().zip(&widths).map(cell).collect::<Vec<_>>().join(GAP);
        let line = line.trim_end();
        text.push_str(&most.map_or_else(|| line.to_owned(), |most| cut(line, most)));
        text.push('\n');
    }
    text
}

/// The text in at most so many columns; its end is cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut left = most.saturating_sub(1);
    for c in text.chars() {
        let wide = columns(c);
        if wide > left {
            break;
        }
        left -= wide;
        short.push(c);
    }
    if most > 0 {
        short.push(CUT);
    }
    short
}

/// Columns that a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0x1f300..=0x1faff | 0x20000..=0x3ffff);
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[String; 3]> {
        [["ID", "WHY", "TO"], ["1", "a budget until 14:20", "boss@example.com"], ["22", "扫描件已扣留", "b@c"]]
            .map(|row| row.map(str::to_owned))
            .to_vec()
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        assert_eq!(
            table(&rows(), None, &[]),
            "ID  WHY                   TO\n1   a budget until 14:20  boss@example.com\n22  扫描件已扣留          b@c\n"
        );
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let text = table(&rows(), Some(26), &[1, 2]);
        assert_eq!(text, "ID  WHY         TO\n1   a budget …  boss@exam…\n22  扫描件已…   b@c\n");
        for most in 0..60 {
            let text = table(&rows(), Some(most), &[1, 2]);
            assert!(text.lines().all(|line| width(line) <= most), "{most}:\n{text}");
        }
    }

    #[test]
    fn a_wide_character_is_never_halved() {
        assert_eq!(
            (cut("扫描件", 5), cut("扫描件", 4), cut("扫描件", 6)),
            ("扫描…".into(), "扫…".into(), "扫描件".into())
        );
        assert_eq!((cut("abc", 0), cut("abc", 1)), (String::new(), "…".into()));
    }
}
