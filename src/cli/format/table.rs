//! Columns aligned with spaces, as docker's tables are: each is as wide as its widest cell and the
//! gap, but at least so wide; the last one isn't padded.

/// How a table is spaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spacing {
    /// The least width of a column, gap included.
    pub(crate) least: usize,
    /// The gap.
    pub(crate) gap: usize,
}

/// Docker's lists.
pub(crate) const LIST: Spacing = Spacing { least: 10, gap: 3 };
/// Docker's `top`.
pub(crate) const WIDE: Spacing = Spacing { least: 20, gap: 3 };

/// Returns text whose lines have cells that end with tabs, aligned. As with Go's tabwriter a column is
/// as wide as its widest cell among the lines that follow each other and have it; what comes after
/// a line's last tab belongs to no column.
pub(crate) fn align(text: &str, spacing: Spacing) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut from = 0;
        while from < lines.len() {
            let has = |line: &usize| widths[*line].len() > column;
            let until = (from..lines.len()).find(|line| !has(line)).unwrap_or(lines.len());
            let widest = (from..until).map(|line| lines[line][column].chars().count()).max();
            let width = widest.map_or(0, |widest| spacing.least.max(widest + spacing.gap));
            for line in &mut widths[from..until] {
                line[column] = width;
            }
            from = until + 1;
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (cells, widths) in lines.iter().zip(&widths) {
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(column) {
                out.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_neighbours() {
        // As `docker ps` prints it without containers.
        assert_eq!(
            align("CONTAINER ID\tIMAGE\tCOMMAND\tNAMES\n", LIST),
            "CONTAINER ID   IMAGE     COMMAND   NAMES\n"
        );
        assert_eq!(align("é\tb", Spacing { least: 2, gap: 2 }), "é  b\n");
        assert_eq!(
            align("a\tb\nlong\tc\n\nx\ty\n", Spacing { least: 2, gap: 1 }),
            "a    b\nlong c\n\nx y\n"
        );
    }
}
