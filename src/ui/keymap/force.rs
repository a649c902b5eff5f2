//! The keymap as it is in force: the table with a preset, the user's changes and commands, and without
//! what may not be done.

use super::{Action, Binding, Context, KEYMAP, Key};
use crate::config::Config;

/// A row of the table as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Where it is in force.
    pub context: Context,
    /// Its keys, the one to show in menus first; none leaves it to menus and palette.
    pub keys: Vec<Key>,
    /// What it does.
    pub action: Action,
    /// A short word for the footer; empty keeps it out of there.
    pub hint: &'static str,
    /// What it does, for people.
    pub text: String,
}

/// The bindings in force in this run.
#[derive(Clone, Debug)]
pub struct Keymap {
    bindings: Vec<Bound>,
}

/// Returns where a command of a list is in force: those of containers in their tabs, too.
fn places(on: Context) -> &'static [Context] {
    match on {
        Context::Images => &[Context::Images],
        Context::Volumes => &[Context::Volumes],
        Context::Networks => &[Context::Networks],
        _ => &[Context::Containers, Context::Tabs],
    }
}

impl Keymap {
    /// Returns the bindings as a config has them: all, or only those that change nothing.
    pub fn new(read_only: bool, config: &Config) -> Self {
        let own = |binding: &Binding| Bound {
            context: binding.context,
            keys: binding.keys.to_vec(),
            action: binding.action,
            hint: binding.hint,
            text: binding.text.to_owned(),
        };
        let mut keymap = Self { bindings: KEYMAP.iter().map(own).collect() };
        for (n, custom) in config.commands.iter().enumerate() {
            for context in places(custom.on) {
                // Those of a list stand together.
                let last = keymap.bindings.iter().rposition(|b| b.context == *context);
                let bound = Bound {
                    context: *context,
                    keys: Vec::new(),
                    action: Action::Custom(n),
                    hint: "",
                    text: wharf_logs::sanitize_line(&custom.name).into_owned(),
                };
                keymap.bindings.insert(last.map_or(0, |at| at + 1), bound);
            }
        }
        for (context, action, keys) in config.preset.rows() {
            keymap.bind(*context, *action, keys);
        }
        for (n, custom) in config.commands.iter().enumerate() {
            for context in places(custom.on) {
                keymap.bind(*context, Action::Custom(n), custom.key.as_slice());
            }
        }
        for change in &config.keys {
            keymap.bind(change.context, change.action, &change.keys);
        }
        if read_only {
            keymap.bindings.retain(|bound| !bound.action.changes());
        }
        keymap
    }

    /// Gives keys to an action, and takes them from whatever had them there.
    fn bind(&mut self, context: Context, action: Action, keys: &[Key]) {
        for bound in self.bindings.iter_mut().filter(|bound| bound.context == context) {
            if bound.action == action {
                bound.keys = keys.to_vec();
            } else {
                bound.keys.retain(|key| !keys.contains(key));
            }
        }
    }

    /// Returns the bindings in force, in the table's order.
    pub fn bindings(&self) -> impl Iterator<Item = &Bound> {
        self.bindings.iter()
    }

    /// Returns the bindings of these contexts, context by context.
    pub fn of<'a>(&'a self, contexts: &'a [Context]) -> impl Iterator<Item = &'a Bound> {
        contexts.iter().flat_map(|c| self.bindings.iter().filter(move |b| b.context == *c))
    }

    /// Returns the bindings of a stack of contexts with those of their keys that no earlier context
    /// takes. Bindings of which none is left are left out, but for those that the user has left
    /// without any.
    pub fn effective<'a>(&'a self, contexts: &'a [Context]) -> Vec<(&'a Bound, Vec<Key>)> {
        let mut taken: Vec<Key> = Vec::new();
        let mut list = Vec::new();
        for bound in self.of(contexts) {
            let free: Vec<Key> =
                bound.keys.iter().filter(|k| !taken.contains(k)).copied().collect();
            if !free.is_empty() || bound.keys.is_empty() {
                taken.extend(&free);
                list.push((bound, free));
            }
        }
        list
    }

    /// Returns the first key of an action in a context; empty if it has none there.
    pub fn key_of(&self, context: Context, action: Action) -> String {
        let bound = self.bindings.iter().find(|b| b.context == context && b.action == action);
        bound.and_then(|b| b.keys.first()).map(|key| key.name()).unwrap_or_default()
    }

    /// Returns what a key does in a stack of contexts.
    pub fn lookup(&self, contexts: &[Context], key: Key) -> Option<Action> {
        self.of(contexts).find(|b| b.keys.contains(&key)).map(|b| b.action)
    }
}
