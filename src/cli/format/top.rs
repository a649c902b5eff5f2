//! The processes of a container.

use wharf_model::TopTable;

use super::{table, text};

/// Returns the table of `top`.
pub(crate) fn table(top: &TopTable) -> String {
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().map(|cell| text::clean(cell)).collect();
        format!("{}\n", cells.join("\t"))
    };
    let lines: String = [&top.titles].into_iter().chain(&top.processes).map(line).collect();
    table::align(&lines, table::WIDE)
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
