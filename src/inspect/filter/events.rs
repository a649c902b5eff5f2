//! The filters of `events`.

use wharf_model::{Event, EventKind, Filters, ParseError};

use super::{check_keys, labels_match, one_of};

const KEYS: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Kinds of objects whose name or id may begin with a value.
const OBJECTS: [&str; 9] =
    ["config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"];

/// Actions that carry more after a colon: `exec_start: sh`.
const LONGER: [&str; 3] = ["exec_create", "exec_start", "health_status"];

/// Which events a stream shows.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    filters: Filters,
}

impl EventFilter {
    /// Returns the filter for these conditions.
    ///
    /// # Errors
    /// When a key means nothing.
    pub fn new(filters: &Filters) -> Result<Self, ParseError> {
        check_keys(filters, &KEYS)?;
        Ok(Self { filters: filters.clone() })
    }

    /// Returns whether an event is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        let filters = &self.filters;
        let name = event.attributes.get("name").map_or("", String::as_str);
        let begins = |key: &str| {
            !filters.contains(key)
                || filters
                    .values(key)
                    .iter()
                    .any(|value| event.id.starts_with(value) || name.starts_with(value))
        };
        self.action_matches(&event.action)
            && one_of(filters, "type", event.kind.as_str())
            && one_of(filters, "scope", "local")
            && OBJECTS.iter().all(|key| begins(key))
            && self.image_matches(event)
            && labels_match(filters.values("label"), &event.attributes)
    }

    fn action_matches(&self, action: &str) -> bool {
        if !self.filters.contains("event") {
            return true;
        }
        let wanted = self.filters.values("event");
        match wanted.iter().any(|value| LONGER.contains(&value.as_str())) {
            true => wanted.iter().any(|value| action.starts_with(value)),
            false => wanted.iter().any(|value| action == value),
        }
    }

    fn image_matches(&self, event: &Event) -> bool {
        let key = if event.kind == EventKind::Image { "name" } else { "image" };
        let image = event.attributes.get(key).map_or("", String::as_str);
        let untagged = |text: &str| match text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
            _ => text.to_owned(),
        };
        [&event.id, image, &untagged(&event.id), &untagged(image)]
            .iter()
            .any(|name| one_of(&self.filters, "image", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_lets_through_what_docker_lets_through() {
        let event = Event {
            time: "2024-05-06T12:00:00Z".parse().unwrap(),
            kind: EventKind::Container,
            action: "exec_start: sh -c x".into(),
            id: "abcd".into(),
            attributes: [("name", "web"), ("image", "box:v2"), ("a", "1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        for (condition, wanted) in [
            ("event=exec_start", true),
            ("event=exec_create", false),
            ("event=start", false),
            ("type=container", true),
            ("type=image", false),
            ("container=we", true),
            ("container=ab", true),
            ("container=x", false),
            ("network=x", false),
            ("image=box:v2", true),
            ("image=box", true),
            ("image=bo", false),
            ("label=a", true),
            ("label=a=1", true),
            ("label=a=2", false),
            ("scope=local", true),
            ("scope=swarm", false),
        ] {
            let mut filters = Filters::default();
            filters.add(condition).unwrap();
            assert_eq!(EventFilter::new(&filters).unwrap().matches(&event), wanted, "{condition}");
        }
        let foo = Filters::from_iter([("foo", "bar")]);
        assert_eq!(EventFilter::new(&foo).unwrap_err().to_string(), "invalid filter 'foo'");
    }
}
