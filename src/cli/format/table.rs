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

/// Returns the rows as lines. Rows may be of different lengths.
pub(crate) fn render<R, C>(rows: &[R], spacing: Spacing) -> String
where
    R: AsRef<[C]>,
    C: AsRef<str>,
{
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.as_ref().iter().enumerate() {
            if column == widths.len() {
                widths.push(spacing.least);
            }
            widths[column] = widths[column].max(cell.as_ref().chars().count() + spacing.gap);
        }
    }
    let mut out = String::new();
    for row in rows {
        let row = row.as_ref();
        for (column, cell) in row.iter().enumerate() {
            let cell = cell.as_ref();
            out.push_str(cell);
            if column + 1 < row.len() {
                let pad = widths[column] - cell.chars().count();
                out.extend(std::iter::repeat_n(' ', pad));
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
    fn docker_header() {
        // As `docker ps` prints it without containers.
        assert_eq!(
            render(
                &[["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]],
                LIST
            ),
            "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
        );
        assert_eq!(render(&[["é", "b"]], Spacing { least: 2, gap: 2 }), "é  b\n");
    }
}
