//! The mouse in the charts: a click reads an instant, drawing over a time shows that time alone, the wheel
//! shows more or less.

use chrono::{DateTime, Utc};
use ratatui::layout::{Position, Rect};

use crate::app::{App, Redraw, Tab};
use crate::layout::layout;
use crate::view::{chart_at, column_near};

use super::charts;

/// So many columns at least are a time that somebody wants to look at, and no click with a trembling hand.
const LEAST: i64 = 4;

fn pane(app: &App) -> Option<Rect> {
    layout(app).and_then(|layout| layout.pane(Tab::Stats))
}

/// Returns the instant of a column.
fn instant(app: &App, column: usize, width: usize) -> Option<DateTime<Utc>> {
    let row = app.selected()?;
    let at = app.chart_window(&row.summary.id).instant_of(column, width)?;
    Some(at.min(app.now))
}

/// Takes a click: the chart is the one that keys are about, and the instant is read.
pub(super) fn click(app: &mut App, at: Position) {
    app.charts.drawn = None;
    let Some(pane) = pane(app) else { return };
    let Some((chart, column)) = chart_at(app, pane, at) else { return };
    app.charts.chosen = chart;
    let found = column.and_then(|_| column_near(app, pane, chart, at.x));
    // The charts are held as they are, so that the instant stays below the pointer.
    if let (Some((_, width)), None) = (found, app.charts.end) {
        app.charts.end = app
            .selected()
            .and_then(|row| app.chart_window(&row.summary.id).instant_of(width - 1, width));
    }
    if let Some(to) = found.and_then(|(column, width)| instant(app, column, width)) {
        charts::read(app, to);
        app.charts.drawn = Some((to, to));
    }
}

/// Takes a step of a drawing; returns whether there is one.
pub(super) fn draw(app: &mut App, at: Position) -> bool {
    let Some((from, _)) = app.charts.drawn else { return false };
    let found = pane(app).and_then(|pane| column_near(app, pane, app.charts.chosen, at.x));
    if let Some(to) = found.and_then(|(column, width)| instant(app, column, width)) {
        app.charts.drawn = Some((from, to));
        app.charts.instant = Some(to);
        app.draw(Redraw::Now);
    }
    true
}

/// Ends a drawing: the time that was drawn over has all the charts.
pub(super) fn release(app: &mut App) {
    let Some((from, to)) = app.charts.drawn.take() else { return };
    let pace = i64::try_from(app.pace()).unwrap_or(1);
    if (to - from).num_seconds().abs() >= pace * LEAST {
        app.zoom_charts(from, to);
        let (first, last) = (from.min(to), from.max(to));
        if app.travel.is_none() {
            app.charts.instant = None;
        } else {
            charts::read(app, last);
        }
        let clock = |at: DateTime<Utc>| at.format("%H:%M:%S").to_string();
        let (first, last) = (clock(first), clock(last));
        app.tell(format!("charts from {first} to {last}: < > and the wheel show less and more"));
    } else {
        charts::read(app, to);
    }
    app.draw(Redraw::Now);
}
