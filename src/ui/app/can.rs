//! What can be done now, and why the rest can't.

use super::{App, Focus, Pending, Row, Screen, Tab, Zoom, containers};
use crate::keymap::Action;
use wharf_model::Status;

impl App {
    /// Returns whether an action makes sense for a container now; if not, why.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn can_on(&self, row: &Row, action: Action) -> Result<(), String> {
        self.can_while(row, action, self.pending_on(&row.summary.id))
    }

    /// Returns those of some containers for which an action makes sense now.
    pub(crate) fn able<'a>(
        &'a self,
        rows: impl Iterator<Item = &'a Row>,
        action: Action,
    ) -> impl Iterator<Item = &'a Row> {
        let busy = self.busy();
        rows.filter(move |row| {
            self.can_while(row, action, busy.get(&row.summary.id).copied()).is_ok()
        })
    }

    fn can_while(
        &self,
        row: &Row,
        action: Action,
        pending: Option<&Pending>,
    ) -> Result<(), String> {
        let host = self.hosts.get(row.host);
        if self.hosts.several() && host.is_stale() && action.changes() {
            return Err(format!("{} isn't connected", host.name()));
        }
        containers::can(row, action, pending)
    }

    /// Returns whether it is groups that are folded, and not what is in a document.
    pub fn folds_groups(&self) -> bool {
        let document = self.focus == Focus::Detail && self.tab() == Tab::Inspect;
        self.screen == Screen::Containers && !document
    }

    fn can_open_terminal(&self, action: Action) -> Result<(), String> {
        let Some(row) = self.selected() else {
            return Err("no container is selected".to_owned());
        };
        let (name, what) = (
            &row.summary.name,
            match action {
                Action::Attach => "attached to",
                _ => "given a shell",
            },
        );
        match row.summary.status {
            _ if self.travel.is_some() => Err("this is the past: Esc comes back".to_owned()),
            _ if self.hosts.several() && self.hosts.get(row.host).is_stale() => {
                Err(format!("{} isn't connected", self.hosts.get(row.host).name()))
            }
            Status::Running => Ok(()),
            Status::Paused => Err(format!("{name} is paused: p resumes it")),
            _ => Err(format!("{name} doesn't run, so it can't be {what}: S starts it")),
        }
    }

    fn can_mark(&self) -> bool {
        match self.screen {
            Screen::Images => self.images.selected().is_some(),
            _ => self.selected().is_some() || self.containers.group().is_some(),
        }
    }

    fn can_on_group(&self, action: Action) -> Result<(), String> {
        let Some(group) = self.containers.group() else {
            return Err("no container is selected".to_owned());
        };
        if self.able(self.containers.members(group), action).next().is_some() {
            return Ok(());
        }
        Err(format!("none of {} is in a state for that", group.name))
    }

    /// Returns whether an action can be taken now; if not, why.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn can(&self, action: Action) -> Result<(), String> {
        if self.options.read_only && action.changes() {
            return Err("this dashboard is read-only".to_owned());
        }
        if self.travel.is_some() && action.changes() {
            return Err("this is the past, which nothing changes: Esc comes back".to_owned());
        }
        match action {
            Action::Start
            | Action::Stop
            | Action::Restart
            | Action::PauseResume
            | Action::Kill
            | Action::Remove => match self.selected() {
                None => self.can_on_group(action),
                Some(row) => self.can_on(row, action),
            },
            Action::OpenShell | Action::OpenToolbox | Action::NewShell | Action::Attach => {
                self.can_open_terminal(action)
            }
            Action::ListShells if self.terminals.list.is_empty() => {
                Err("no shell is open: e opens one in a container".to_owned())
            }
            Action::Fold | Action::FoldIn | Action::FoldOut | Action::FoldAll
                if self.folds_groups() && self.containers.groups.is_empty() =>
            {
                Err("there are no groups: compose's labels make them".to_owned())
            }
            Action::Fold | Action::FoldIn | Action::FoldOut
                if self.folds_groups() && self.containers.project().is_none() =>
            {
                Err("it belongs to no group".to_owned())
            }
            Action::ChooseHost | Action::HostOnOff | Action::UseHost => self.can_with_hosts(action),
            Action::PruneKind | Action::Refresh if self.host_row().is_some() => {
                Err("a host is selected: select a kind of objects".to_owned())
            }
            Action::PruneKind => self.can_prune_kind(),
            Action::Rename | Action::Limits => self.can_edit(action),
            Action::Undo if self.undo.is_empty() && !self.selects_discarded() => {
                Err("there is nothing to take back".to_owned())
            }
            Action::Custom(_) if self.object().is_none() => Err("nothing is selected".to_owned()),
            Action::CopyCommand if self.overlays.is_empty() && self.last_line.is_none() => {
                Err("nothing has been changed yet".to_owned())
            }

            Action::TimeTravel | Action::JumpToTime if self.travel.is_none() => {
                self.host().no_past.clone().map_or(Ok(()), Err)
            }
            Action::TravelBack | Action::TravelOn if self.travel.is_none() => {
                Err("this is now: t in the charts goes back in time".to_owned())
            }
            Action::Bulk if self.marked() == 0 => Err("nothing is marked: Space marks".to_owned()),
            Action::ShowLogs
            | Action::ShowStats
            | Action::ShowTop
            | Action::ShowHealth
            | Action::ShowEvents
                if self.screen != Screen::Containers =>
            {
                Err("only containers have it".to_owned())
            }
            Action::Mark if !self.can_mark() => Err("nothing is selected".to_owned()),
            Action::ZoomIn if self.zoom == Zoom::Detail => {
                Err("the tab has all the room already".to_owned())
            }
            Action::ZoomOut if self.zoom == Zoom::List => {
                Err("the list has all the room already".to_owned())
            }
            Action::ZoomIn | Action::ZoomOut | Action::NextPane | Action::PreviousPane
                if self.screen.tabs().is_empty() =>
            {
                Err("this screen has one pane".to_owned())
            }
            Action::NextTab | Action::PreviousTab if self.screen.tabs().is_empty() => {
                Err("this screen has no tabs".to_owned())
            }
            Action::MorePanes | Action::FewerPanes if self.screen != Screen::Containers => {
                Err("only containers have several panes".to_owned())
            }
            Action::FewerPanes if self.panes().tabs().len() < 2 => {
                Err("this is the only pane".to_owned())
            }
            Action::CopyName | Action::CopyId | Action::ShowInspect => match self.screen {
                Screen::Containers if self.containers.group().is_some() => Ok(()),
                Screen::Containers if self.selected().is_none() => {
                    Err("no container is selected".to_owned())
                }
                Screen::Images if self.images.selected().is_none() => {
                    Err("no image is selected".to_owned())
                }
                Screen::Volumes if self.volumes.selected().is_none() => {
                    Err("no volume is selected".to_owned())
                }
                Screen::Networks => self.can_on_network(action),
                Screen::Events if self.events.selected().is_none() => {
                    Err("no event is selected".to_owned())
                }
                _ => Ok(()),
            },
            Action::GoToObject if self.events.selected().is_none() => {
                Err("no event is selected".to_owned())
            }
            Action::ShowUsers | Action::ShowFiles | Action::ShowLayers
                if self.screen == Screen::Images && self.images.selected().is_none() =>
            {
                Err("no image is selected".to_owned())
            }
            Action::ShowUsers | Action::ShowFiles | Action::RemoveVolume | Action::ExportVolume
                if self.screen == Screen::Volumes && self.volumes.selected().is_none() =>
            {
                Err("no volume is selected".to_owned())
            }
            Action::RemoveVolume | Action::ExportVolume => self.can_on_volume(action),
            Action::PruneVolumes if self.volumes.unused(true).next().is_none() => {
                Err("every volume belongs to a container".to_owned())
            }
            Action::CopyOut | Action::CopyIn if self.options.copy.is_none() => {
                Err("nothing can be copied here".to_owned())
            }
            Action::CopyOut if self.container_files.selected().is_none() => {
                Err("there is nothing in it".to_owned())
            }
            Action::Measure if self.container_files.measuring.is_none() => {
                let folder =
                    |entry: &wharf_model::FileEntry| entry.kind == wharf_model::FileKind::Folder;
                match self.container_files.list().iter().any(folder) {
                    true => Ok(()),
                    false => Err("there is no folder in it".to_owned()),
                }
            }
            Action::DiffTree if self.inspect.diff.is_none() && self.selected().is_none() => {
                Err("no container is selected".to_owned())
            }
            Action::OpenEntry if self.tab() == Tab::Files && self.files().open.is_some() => {
                Err("this is a file: h goes back".to_owned())
            }
            Action::OpenEntry | Action::CopyPath
                if self.tab() == Tab::Files
                    && self.files().open.is_none()
                    && (self.screen != Screen::Images || self.images.files.of.is_some())
                    && self.files().list().is_empty() =>
            {
                Err("there is nothing in it".to_owned())
            }
            Action::RemoveNetwork
            | Action::Connect
            | Action::Disconnect
            | Action::TryReach
            | Action::PruneNetworks
            | Action::ShowDetails => self.can_on_network(action),
            Action::CancelTransfer if self.transfer_has_ended() => Err("it has ended".to_owned()),
            Action::PullImage
            | Action::PushImage
            | Action::PruneImages
            | Action::SaveImage
            | Action::RunImage
            | Action::ShowTransfers
            | Action::TagImage
            | Action::RemoveImage => self.can_on_images(action),
            Action::OnlyMatching | Action::NextMatch | Action::PreviousMatch
                if self.tab() == Tab::Logs && self.logs.pattern.is_empty() =>
            {
                Err("nothing is searched for: / searches".to_owned())
            }
            Action::NextMatch | Action::PreviousMatch
                if self.tab() == Tab::Inspect && self.inspect.pattern.is_empty() =>
            {
                Err("nothing is searched for: / searches".to_owned())
            }
            Action::Secrets if !self.inspect.has_secrets() => {
                Err("nothing in it looks like a secret".to_owned())
            }
            action if action.is_of_logs() && !self.logs.is_open() => {
                Err(match self.containers.group() {
                    Some(group) => {
                        format!("no log is open: m shows those of {} as one", group.name)
                    }
                    None => "no log is open: no container is selected".to_owned(),
                })
            }
            Action::MergeLogs
                if self.marked() < 2
                    && self.logs.merged.is_empty()
                    && self.containers.group().is_none_or(|group| group.members.len() < 2) =>
            {
                Err("two or more containers have to be marked: Space marks".to_owned())
            }
            Action::EarlierBar | Action::LaterBar if self.logs.bars.is_none() => {
                Err("the log has no histogram: nothing in it has a time".to_owned())
            }
            _ => Ok(()),
        }
    }
}
