//! What can be changed of a selected object, and what can be taken back.

use wharf_model::{ContainerId, Status};

use super::topology::Node;
use super::{App, ImageRow, Row, Screen};
use crate::keymap::Action;

/// What custom commands know of the selected object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What people call it.
    pub name: String,
    /// Its id; what has none goes by its name.
    pub id: String,
    /// The image that it is, or that it was made from.
    pub image: String,
    /// If it is a container, that.
    pub container: Option<ContainerId>,
}

impl App {
    /// Returns the selected object, as the engine calls it.
    pub fn object(&self) -> Option<Object> {
        match self.screen {
            Screen::Containers => self.selected().map(|row| Object {
                name: row.summary.name.clone(),
                id: row.summary.id.as_str().to_owned(),
                image: row.summary.image.clone(),
                container: Some(row.summary.id.clone()),
            }),
            Screen::Images => self.images.selected().map(|row| Object {
                name: ImageRow::reference(row),
                id: row.id.as_str().to_owned(),
                image: ImageRow::reference(row),
                container: None,
            }),
            Screen::Volumes => self.volumes.selected().map(|row| Object {
                name: row.info.name.clone(),
                id: row.info.name.clone(),
                image: String::new(),
                container: None,
            }),
            Screen::Networks => {
                let id = match self.networks.selected.as_ref()? {
                    Node::Bus(id) | Node::Edge(_, id) => id.clone(),
                    Node::Station(_) => return None,
                };
                let (_, bus) = self.networks.topology.bus(&id)?;
                let name = bus.name.clone();
                Some(Object { name, id, image: String::new(), container: None })
            }
            Screen::Events | Screen::System => None,
        }
    }

    /// Returns whether the selected container is put aside, to be removed.
    pub fn selects_discarded(&self) -> bool {
        let restorable = |row: &Row| self.hosts.get(row.host).undo_seconds().is_some();
        let removing = |row: &Row| row.summary.status == Status::Removing;
        self.selected().is_some_and(|row| removing(row) && restorable(row))
    }

    pub(super) fn can_edit(&self, action: Action) -> Result<(), String> {
        let Some(row) = self.selected() else {
            return Err("no container is selected".to_owned());
        };
        if let Some(pending) = self.pending_on(&row.summary.id) {
            return Err(format!("{} is {} already", row.summary.name, pending.doing));
        }
        match action {
            Action::Limits if self.options.update.is_none() => {
                Err("limits can't be changed here".to_owned())
            }
            _ => Ok(()),
        }
    }
}
