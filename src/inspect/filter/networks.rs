//! The filters of `network ls` and of `network prune`.

use chrono::{DateTime, Utc};
use wharf_model::{Filters, NetworkInfo, ParseError};

use super::{Patterns, check_keys, labels_match, until};

/// Which networks a list shows.
#[derive(Clone, Debug, Default)]
pub struct NetworkFilter {
    filters: Filters,
    names: Patterns,
    ids: Patterns,
    /// Whether those that nobody is on are wanted, or the others.
    dangling: Option<bool>,
}

/// Returns whether a network is one of the three that are always there.
fn is_builtin(network: &NetworkInfo) -> bool {
    matches!(network.name.as_str(), "bridge" | "host" | "none")
}

impl NetworkFilter {
    /// Returns the filter for these conditions.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(filters: &Filters) -> Result<Self, ParseError> {
        check_keys(filters, &["dangling", "driver", "id", "label", "name", "scope", "type"])?;
        let mut dangling = None;
        for value in filters.values("dangling") {
            dangling = match value.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => {
                    return Err(ParseError(
                        "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \
                         \"false\" (or \"0\")"
                            .to_owned(),
                    ));
                }
            };
        }
        let odd =
            filters.values("type").iter().find(|t| !["custom", "builtin"].contains(&t.as_str()));
        if let Some(odd) = odd {
            return Err(ParseError(format!("invalid filter: 'type'='{odd}'")));
        }
        Ok(Self {
            filters: filters.clone(),
            names: Patterns::new(filters, "name"),
            ids: Patterns::new(filters, "id"),
            dangling,
        })
    }

    /// Returns whether a network is wanted.
    pub fn matches(&self, network: &NetworkInfo) -> bool {
        let any = |key: &str, holds: &dyn Fn(&str) -> bool| {
            !self.filters.contains(key) || self.filters.values(key).iter().any(|v| holds(v))
        };
        let unused = !is_builtin(network) && network.endpoints.is_empty();
        self.names.matches(&[&network.name])
            && self.ids.matches(&[&network.id])
            && any("driver", &|driver| driver == network.driver)
            && any("scope", &|scope| scope == network.scope)
            && any("type", &|kind| (kind == "builtin") == is_builtin(network))
            && labels_match(self.filters.values("label"), &network.labels)
            && self.dangling.is_none_or(|dangling| dangling == unused)
    }
}

/// Which networks that nobody is on are removed together.
#[derive(Clone, Debug)]
pub struct NetworkPruneFilter {
    filters: Filters,
    until: Option<DateTime<Utc>>,
}

impl NetworkPruneFilter {
    /// Returns the filter for these conditions.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(filters: &Filters, now: DateTime<Utc>) -> Result<Self, ParseError> {
        check_keys(filters, &["label", "label!", "until"])?;
        Ok(Self { filters: filters.clone(), until: until(filters, now)? })
    }

    /// Returns whether a network is to go, if nobody is on it.
    pub fn matches(&self, network: &NetworkInfo) -> bool {
        let unwanted = self.filters.values("label!");
        labels_match(self.filters.values("label"), &network.labels)
            && (unwanted.is_empty() || !labels_match(unwanted, &network.labels))
            && self.until.is_none_or(|until| network.created < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, driver: &str) -> NetworkInfo {
        NetworkInfo {
            id: format!("{:0<64}", name.len()),
            name: name.to_owned(),
            created: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            scope: "local".to_owned(),
            driver: driver.to_owned(),
            ipv4: true,
            ipv6: false,
            pools: Vec::new(),
            internal: false,
            attachable: false,
            options: [].into(),
            labels: [("a".to_owned(), "1".to_owned())].into(),
            endpoints: Vec::new(),
        }
    }

    #[test]
    fn each_key_lets_through_what_docker_lets_through() {
        let all =
            [network("bridge", "bridge"), network("web", "bridge"), network("lan", "macvlan")];
        for (conditions, wanted) in [
            (&[][..], &["bridge", "web", "lan"][..]),
            (&["driver=bridge"], &["bridge", "web"]),
            (&["driver=brid"], &[]),
            (&["type=custom"], &["web", "lan"]),
            (&["type=builtin"], &["bridge"]),
            (&["dangling=true"], &["web", "lan"]),
            (&["dangling=0"], &["bridge"]),
            (&["name=b"], &["bridge", "web"]),
            (&["name=^web$", "name=nobody"], &["web"]),
            (&["id=3"], &["web", "lan"]),
            (&["scope=local", "label=a=1"], &["bridge", "web", "lan"]),
            (&["scope=swarm"], &[]),
            (&["label=b"], &[]),
        ] {
            let mut filters = Filters::default();
            conditions.iter().for_each(|condition| filters.add(condition).unwrap());
            let filter = NetworkFilter::new(&filters).unwrap();
            let names: Vec<_> =
                all.iter().filter(|n| filter.matches(n)).map(|n| n.name.as_str()).collect();
            assert_eq!(names, wanted, "{conditions:?}");
        }
        for (condition, complaint) in [
            ("foo=bar", "invalid filter 'foo'"),
            ("type=x", "invalid filter: 'type'='x'"),
            ("dangling=x", "invalid value for filter 'dangling'"),
        ] {
            let mut filters = Filters::default();
            filters.add(condition).unwrap();
            let error = NetworkFilter::new(&filters).unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{error}");
        }
    }
}
