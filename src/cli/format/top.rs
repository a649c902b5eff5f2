//! The processes of a container.

use wharf_model::TopTable;

use super::{table, text};

/// Returns the table of `top`.
pub(crate) fn table(top: &TopTable) -> String {
    let clean = |row: &[String]| row.iter().map(|cell| text::clean(cell)).collect::<Vec<_>>();
    let mut rows = vec![clean(&top.titles)];
    rows.extend(top.processes.iter().map(|row| clean(row)));
    table::render(&rows, table::WIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_harmless() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let top =
            TopTable { titles: words("UID PID CMD"), processes: vec![words("root 12 \x1b]0;x")] };
        assert_eq!(
            table(&top),
            "UID                 PID                 CMD\n\
             root                12                  \u{fffd}]0;x\n"
        );
    }
}
