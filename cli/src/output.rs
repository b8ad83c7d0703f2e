//! Printing: data goes to stdout, as tables for people, or JSON and YAML as the API answers; messages go to stderr.

use crate::{args::Format, exit::Failure};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;
use std::{
    fmt::Display,
    io::{ErrorKind, Write as _, stderr, stdout},
};

/// One row of a table per item.
pub trait Row {
    /// The table's head.
    const HEAD: &'static [&'static str];
    /// The item's cells.
    fn cells(&self) -> Vec<String>;
}

/// Prints `items` as a table, or `whole` as JSON or YAML.
pub fn print<R: Row>(format: Format, whole: &impl Serialize, items: &[R]) -> Result<(), Failure> {
    match format {
        Format::Table => data(&format!("{}\n", table(items))),
        Format::Json => json(whole),
        Format::Yaml => data(&serde_saphyr::to_string(whole).map_err(Failure::not_fine)?),
    }
}

/// Prints JSON.
pub fn json(whole: &impl Serialize) -> Result<(), Failure> {
    data(&format!("{}\n", serde_json::to_string_pretty(whole).map_err(Failure::not_fine)?))
}

/// Writes to stdout. A reader that went away (`| head`) has what it wanted.
pub fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::not_fine(format!("cannot write to stdout: {error}"))),
    }
}

/// Writes a line to stderr. Where that fails, there is nobody to tell.
pub fn message(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// Text from elsewhere, such as a branch or a pod's last words, fit for a terminal: without what would move its cursor.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Left-aligned columns two spaces apart, as kubectl prints them.
pub fn table<R: Row>(items: &[R]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(R::HEAD.to_vec());
    table.add_rows(items.iter().map(|item| item.cells().iter().map(|cell| plain(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// How long ago, in the two largest units at most: `3d4h`, `12m`, `5s`.
pub fn age(since: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => format!("{m}m"),
        (0, h, m) => format!("{h}h{m}m"),
        (d, h, _) => format!("{d}d{h}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_does_not_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc\u{9b}1md é"), "a [2Jb c 1md é");
    }

    #[test]
    fn an_age_shows_its_two_largest_units() {
        let at = |seconds| jiff::Timestamp::from_second(seconds).expect("in range");
        let ages = [5, 720, 7_500, 100_000].map(|seconds| age(at(0), at(seconds)));
        assert_eq!(ages, ["5s", "12m", "2h5m", "1d3h"]);
    }
}
