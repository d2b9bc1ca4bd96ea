//! The figures, what they should be, and whether they are.

use std::fmt::Write as _;

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    /// Not more than this.
    most: Option<f64>,
}

impl Table {
    /// A figure that is there to be known.
    pub(crate) fn note(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.row(what.into(), value, unit, None);
    }

    /// A figure that should not be above `most`.
    pub(crate) fn goal(&mut self, what: impl Into<String>, value: f64, unit: &'static str, most: f64) {
        self.row(what.into(), value, unit, Some(most));
    }

    fn row(&mut self, what: String, value: f64, unit: &'static str, most: Option<f64>) {
        eprintln!("  {what}: {} {unit}", number(value));
        self.0.push(Row { what, value, unit, most });
    }

    /// As Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = "| figure | | goal | |\n|---|---|---|---|\n".to_owned();
        for Row { what, value, unit, most } in &self.0 {
            let goal = most.map_or_else(String::new, |most| format!("<= {} {unit}", number(most)));
            let met = match most {
                None => "",
                Some(most) if value <= most => "yes",
                Some(_) => "**no**",
            };
            let _ = writeln!(text, "| {what} | {} {unit} | {goal} | {met} |", number(*value));
        }
        text
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The one that `part` of a hundred do not exceed.
pub(crate) fn percentile(mut values: Vec<f64>, part: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * part / 100).copied().unwrap_or(f64::NAN)
}
