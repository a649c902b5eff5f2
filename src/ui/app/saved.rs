//! What is kept between runs: how the screen is laid out, and nothing of what is on it. A file that
//! says something else is as good as none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{App, Column, Focus, Panes, Screen, Tab, Zoom};

/// Most names of folded groups that are kept.
const GROUPS: usize = 200;

/// The layout, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Saved {
    /// By the screens' names, the tabs in sight, the one with the keys first.
    panes: BTreeMap<String, Vec<String>>,
    zoom: Option<String>,
    columns: Option<Columns>,
    sort: Option<String>,
    reversed: bool,
    running_only: bool,
    one_by_one: Option<bool>,
    folded: Vec<String>,
    window: usize,
}

/// Columns that were chosen in the dashboard, and those that the config file asked for then: when
/// that has changed since, it is the newer word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Columns {
    chosen: Option<Vec<String>>,
    instead_of: Option<Vec<String>>,
}

fn words(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.word().to_owned()).collect()
}

impl Saved {
    /// Returns the layout as it is.
    pub fn of(app: &App) -> Self {
        let mut panes = BTreeMap::new();
        for screen in Screen::ALL {
            // A shell's pane ends with the shell.
            let of = match &app.terminals.before {
                Some((panes, _)) if screen == Screen::Containers => panes,
                _ => &app.panes[screen.number()],
            };
            let mut tabs = of.tabs().to_vec();
            tabs.rotate_left(of.at());
            if !screen.tabs().is_empty() {
                let names = tabs.iter().map(|tab| tab.title().to_lowercase()).collect();
                panes.insert(screen.title().to_lowercase(), names);
            }
        }
        let list = &app.containers;
        let config = app.options.config.columns.as_deref();
        let columns = (app.columns.as_deref() != config).then(|| Columns {
            chosen: app.columns.as_deref().map(words),
            instead_of: config.map(words),
        });
        Self {
            panes,
            zoom: match app.terminals.before.as_ref().map_or(app.zoom, |(_, zoom)| *zoom) {
                Zoom::Split => None,
                Zoom::List => Some("list".to_owned()),
                Zoom::Detail => Some("tab".to_owned()),
            },
            columns,
            sort: Some(list.sort.word().to_owned()),
            reversed: list.reversed,
            running_only: !list.all,
            one_by_one: (list.grouped != app.options.config.group.unwrap_or(true))
                .then_some(!list.grouped),
            folded: list.folded.iter().take(GROUPS).cloned().collect(),
            window: app.charts.length,
        }
    }

    /// Lays an app out as it was, as far as that can be.
    pub fn restore(self, app: &mut App) {
        for screen in Screen::ALL {
            let Some(names) = self.panes.get(&screen.title().to_lowercase()) else { continue };
            let known = |name: &String| -> Option<Tab> {
                screen.tabs().iter().find(|tab| tab.title().eq_ignore_ascii_case(name)).copied()
            };
            let tabs: Vec<Tab> = names.iter().filter_map(known).collect();
            if !tabs.is_empty() {
                app.panes[screen.number()] = Panes::new(&tabs);
            }
        }
        match self.zoom.as_deref() {
            Some("list") => app.zoom = Zoom::List,
            Some("tab") => (app.zoom, app.focus) = (Zoom::Detail, Focus::Detail),
            _ => {}
        }
        if let Some(columns) = self.columns
            && columns.instead_of == app.options.config.columns.as_deref().map(words)
        {
            let chosen = columns.chosen.map(|words| -> Vec<Column> {
                words.iter().filter_map(|word| Column::of(word)).collect()
            });
            app.columns = chosen.filter(|columns| columns.contains(&Column::Name));
        }
        let list = &mut app.containers;
        if let Some(sort) = self.sort.as_deref().and_then(Column::of) {
            (list.sort, list.reversed) = (sort, self.reversed);
        }
        list.all = !self.running_only;
        list.grouped = self.one_by_one.map_or(list.grouped, |one_by_one| !one_by_one);
        list.folded = self.folded.into_iter().take(GROUPS).collect();
        app.charts.length = self.window.min(super::metrics::LENGTHS.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use wharf_backend::fake::time;

    use super::*;
    use crate::Options;

    fn app() -> App {
        App::new(Options::default(), (120, 40), time(0))
    }

    #[test]
    fn a_layout_comes_back() {
        let mut before = app();
        before.set_tab(Tab::Top);
        before.panes_mut().step(1);
        before.columns = Some(vec![Column::Cpu, Column::Name]);
        before.containers.folded.insert("shop".to_owned());
        before.containers.sort = Column::Memory;
        before.containers.grouped = false;
        (before.zoom, before.charts.length) = (Zoom::List, 2);
        let text = serde_json::to_string(&Saved::of(&before)).unwrap();
        let mut after = app();
        serde_json::from_str::<Saved>(&text).unwrap().restore(&mut after);
        assert_eq!(after.panes().tabs(), [Tab::Logs, Tab::Top], "the one with the keys is first");
        assert_eq!(after.columns, before.columns);
        assert_eq!(Saved::of(&after).folded, ["shop"]);
        assert_eq!((after.zoom, after.charts.length), (Zoom::List, 2));
        assert!(!after.containers.grouped);
        // The config file has changed: it counts.
        let mut after = app();
        after.options.config.columns = Some(vec![Column::Name]);
        after.columns = after.options.config.columns.clone();
        serde_json::from_str::<Saved>(&text).unwrap().restore(&mut after);
        assert_eq!(after.columns, Some(vec![Column::Name]));
    }

    #[test]
    fn strange_words_are_left_out() {
        let text = r#"{"panes": {"containers": ["no", "users"], "images": ["files", "files"]},
            "zoom": "x", "columns": {"chosen": ["cpu"]}, "sort": "y", "window": 99, "more": 1}"#;
        let mut app = app();
        serde_json::from_str::<Saved>(text).unwrap().restore(&mut app);
        assert_eq!(app.panes().tabs(), [Tab::Stats, Tab::Logs]);
        assert_eq!(app.panes[1].tabs(), [Tab::Files]);
        let last = super::super::metrics::LENGTHS.len() - 1;
        assert_eq!((app.zoom, app.columns.as_ref()), (Zoom::Split, None));
        assert_eq!(app.charts.length, last);
    }
}
