//! Prints how long opening, indexing and searching a log takes: `large FILE PATTERN`.

use std::time::Instant;

use wharf_logs::{Case, FileView, LogView, Matcher, Search};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which file?")?;
    let pattern = args.next().ok_or("which pattern?")?;
    let start = Instant::now();
    let mut view = FileView::open(path.as_ref())?;
    let last = view.last(50)?;
    println!("open and show {} lines: {:?}", last.len(), start.elapsed());
    let start = Instant::now();
    while !view.advance(8 << 20)? {}
    println!("index {:?}: {:?}", view.progress(), start.elapsed());
    let start = Instant::now();
    let mut search = Search::new(Matcher::new(&pattern, Case::Smart)?);
    while !search.advance(&mut view, 8 << 20)?.complete {}
    println!("search {:?}: {:?}", search.progress(&view), start.elapsed());
    let start = Instant::now();
    let middle = view.at_number(view.progress().lines / 2)?.ok_or("empty")?;
    let shown = view.forward(middle, 50)?.len();
    println!("show {shown} lines of the middle: {:?}", start.elapsed());
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    println!("{peak}");
    Ok(())
}
