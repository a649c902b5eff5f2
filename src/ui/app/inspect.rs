//! The inspect tab: a document as a tree.

use wharf_inspect::Tree;
use wharf_inspect::difference::{self, Difference};
use wharf_inspect::secret::redact_document;

use super::list::Cursor;
use crate::message::ScreenTag;

/// Two documents compared.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What they are of.
    pub pair: (ScreenTag, ScreenTag),
    /// What they are called.
    pub names: (String, String),
    /// How they differ, or why that isn't known; none while they are asked for.
    pub rows: Option<Result<Vec<Difference>, String>>,
    /// How many differences there are that every container has of its own.
    pub own: usize,
    /// Whether these are shown too.
    pub all: bool,
    /// The selected row.
    pub cursor: Cursor,
    /// The documents as they came.
    pub documents: Option<Box<(serde_json::Value, serde_json::Value)>>,
}

impl Compared {
    /// Returns the differences that are shown.
    pub fn list(&self) -> &[Difference] {
        self.rows.as_ref().and_then(|rows| rows.as_ref().ok()).map_or(&[], Vec::as_slice)
    }

    /// Compares the documents anew; `secrets` tells whether values that look like secrets are shown.
    pub fn compare(&mut self, secrets: bool) {
        let Some(documents) = &self.documents else { return };
        let (mut a, mut b) = (documents.0.clone(), documents.1.clone());
        let with_image = matches!(self.pair.1, ScreenTag::Image(_));
        if !secrets {
            (a, b) = (redact_document(a), redact_document(b));
        }
        let mut rows = match with_image {
            true => difference::with_image(&a, &b),
            false => difference::between(&a, &b),
        };
        let own = |row: &Difference| !with_image && difference::is_own(&row.path);
        self.own = rows.iter().filter(|row| own(row)).count();
        if !self.all {
            rows.retain(|row| !own(row));
        }
        self.rows = Some(Ok(rows));
    }
}

/// The inspect tab of both screens.
#[derive(Debug, Default)]
pub struct TreePane {
    /// What the tree is of, or was asked for.
    pub tag: Option<ScreenTag>,
    /// The tree, or why there is none.
    pub tree: Option<Result<Tree, String>>,
    /// The selected row.
    pub cursor: Cursor,
    /// What is searched for.
    pub pattern: String,
    /// How many rows hold it.
    pub hits: usize,
    /// Whether an answer is awaited.
    pub waiting: bool,
    /// Whether values that look like secrets are shown.
    pub secrets: bool,
    /// What is shown instead: how it differs from another document.
    pub diff: Option<Compared>,
    /// The document as it came.
    raw: Option<serde_json::Value>,
    /// Whether it holds anything that looks like a secret.
    has_secrets: bool,
}

impl TreePane {
    /// Returns the tree, if there is one.
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref().and_then(|t| t.as_ref().ok())
    }

    /// Returns the tree to change it.
    pub fn tree_mut(&mut self) -> Option<&mut Tree> {
        self.tree.as_mut().and_then(|t| t.as_mut().ok())
    }

    /// Returns how many rows can be seen.
    pub fn len(&self) -> usize {
        self.tree().map_or(0, |t| t.rows().len())
    }

    /// Returns whether nothing can be seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes an answer. A newer document of the same object keeps what is unfolded.
    pub fn take(&mut self, tag: &ScreenTag, result: Result<serde_json::Value, String>) {
        if self.tag.as_ref() != Some(tag) {
            return;
        }
        self.waiting = false;
        match result {
            Ok(document) => {
                self.has_secrets = redact_document(document.clone()) != document;
                self.raw = Some(document);
                self.show();
            }
            Err(e) => self.tree = Some(Err(wharf_logs::sanitize_line(&e).into_owned())),
        }
    }

    /// Returns whether anything looks like a secret.
    pub fn has_secrets(&self) -> bool {
        self.has_secrets
    }

    /// Returns whether something is hidden.
    pub fn hides_secrets(&self) -> bool {
        self.has_secrets && !self.secrets
    }

    /// Shows or hides what looks like a secret.
    pub fn toggle_secrets(&mut self) {
        self.secrets = !self.secrets;
        let secrets = self.secrets;
        if let Some(diff) = &mut self.diff {
            diff.compare(secrets);
        }
        self.show();
    }

    fn show(&mut self) {
        let Some(raw) = &self.raw else { return };
        let document = if self.secrets { raw.clone() } else { redact_document(raw.clone()) };
        match self.tree_mut() {
            Some(tree) => tree.update(document),
            None => self.tree = Some(Ok(Tree::new(document, 1))),
        }
    }
}
