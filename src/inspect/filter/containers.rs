//! The filters of `ps` and of `container prune`.

use chrono::{DateTime, Utc};
use wharf_model::{
    ContainerId, ContainerSummary, Digest, Filters, HealthStatus, ParseError, Status,
};

use super::ports::Ports;
use super::{Patterns, check_keys, labels_match, truth, until};

const KEYS: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "isolation",
];

const STATES: [Status; 7] = [
    Status::Created,
    Status::Running,
    Status::Paused,
    Status::Restarting,
    Status::Removing,
    Status::Exited,
    Status::Dead,
];

/// Which containers a list shows.
#[derive(Clone, Debug, Default)]
pub struct ContainerFilter {
    filters: Filters,
    names: Patterns,
    ids: Patterns,
    states: Vec<Status>,
    /// None stands for a container without probes.
    health: Option<Vec<Option<HealthStatus>>>,
    exited: Vec<i32>,
    published: Vec<Ports>,
    exposed: Vec<Ports>,
    /// Only what isn't a task of a swarm exists here.
    nothing: bool,
    images: Option<Vec<Digest>>,
    before: Option<Position>,
    since: Option<Position>,
}

/// Where a container stands in a list: newest first.
type Position = (DateTime<Utc>, ContainerId);

impl ContainerFilter {
    /// Returns the filter for these conditions.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(filters: &Filters) -> Result<Self, ParseError> {
        check_keys(filters, &KEYS)?;
        let mut filter = Self {
            filters: filters.clone(),
            names: Patterns::new(filters, "name"),
            ids: Patterns::new(filters, "id"),
            nothing: truth(filters, "is-task")? == Some(true),
            ..Self::default()
        };
        for value in filters.values("status") {
            let state = STATES.into_iter().find(|state| state.as_str() == value);
            let state = state.ok_or_else(|| invalid("status", value))?;
            filter.states.push(state);
        }
        for value in filters.values("health") {
            let health = match value.as_str() {
                "none" => None,
                "starting" => Some(HealthStatus::Starting),
                "healthy" => Some(HealthStatus::Healthy),
                "unhealthy" => Some(HealthStatus::Unhealthy),
                _ => {
                    let text = format!("unrecognized filter value for health: {value}");
                    return Err(ParseError(text));
                }
            };
            filter.health.get_or_insert_default().push(health);
        }
        for value in filters.values("exited") {
            let code = value.parse().map_err(|_| {
                ParseError(format!("strconv.Atoi: parsing {value:?}: invalid syntax"))
            })?;
            filter.exited.push(code);
        }
        for value in filters.values("publish") {
            filter.published.push(Ports::parse("publish", value)?);
        }
        for value in filters.values("expose") {
            filter.exposed.push(Ports::parse("expose", value)?);
        }
        Ok(filter)
    }

    /// Returns the image names and ids of `ancestor`. Which images these are, and which were made
    /// from them, is to be told with [`ContainerFilter::set_images`].
    pub fn ancestors(&self) -> &[String] {
        self.filters.values("ancestor")
    }

    /// Says which images containers of the wanted ancestors have.
    pub fn set_images(&mut self, images: Vec<Digest>) {
        self.images = Some(images);
    }

    /// Returns the containers of `before`, and then that of `since`: the oldest wanted limit is to
    /// be told with [`ContainerFilter::set_before`] and [`ContainerFilter::set_since`].
    pub fn limits(&self) -> (Option<&str>, Option<&str>) {
        let last = |key: &str| self.filters.values(key).last().map(String::as_str);
        (last("before"), last("since"))
    }

    /// Says which container those wanted were made before.
    pub fn set_before(&mut self, created: DateTime<Utc>, id: ContainerId) {
        self.before = Some((created, id));
    }

    /// Says which container those wanted were made after.
    pub fn set_since(&mut self, created: DateTime<Utc>, id: ContainerId) {
        self.since = Some((created, id));
    }

    /// Returns whether containers that don't run are wanted without anybody saying so: a state was
    /// asked for.
    pub fn wants_all(&self) -> bool {
        !self.states.is_empty()
    }

    /// Returns whether a container is wanted.
    pub fn matches(&self, container: &ContainerSummary) -> bool {
        let filters = &self.filters;
        let any = |key: &str, holds: &dyn Fn(&str) -> bool| {
            !filters.contains(key) || filters.values(key).iter().any(|value| holds(value))
        };
        // The newest comes first, and of the same age the one with the lesser id.
        let older = |than: &Position| (than.0, &container.id) > (container.created, &than.1);
        let newer = |than: &Position| (container.created, &than.1) > (than.0, &container.id);
        let ended = !container.status.is_alive() && container.started_at.is_some()
            || container.exit_code.is_some();
        let slashed = format!("/{}", container.name);
        !self.nothing
            && self.names.matches(&[&container.name, &slashed])
            && self.ids.matches(&[container.id.as_str()])
            && (self.states.is_empty() || self.states.contains(&container.status))
            && self.health.as_ref().is_none_or(|wanted| wanted.contains(&container.health))
            && (self.exited.is_empty()
                || ended && self.exited.contains(&container.exit_code.unwrap_or(0)))
            && labels_match(filters.values("label"), &container.labels)
            && any("network", &|name| container.networks.iter().any(|network| network == name))
            && any("volume", &|value| {
                container.mounts.iter().any(|mount| {
                    let name = mount.name.as_ref().unwrap_or(&mount.source);
                    mount.destination == value || name == value
                })
            })
            && (self.published.is_empty()
                || container.ports.iter().any(|port| {
                    let host = port.host.map(|(_, port)| port);
                    let wanted = |ports: &Ports| {
                        host.is_some_and(|host| ports.contain(host, &port.protocol))
                    };
                    self.published.iter().any(wanted)
                }))
            && (self.exposed.is_empty()
                || container.ports.iter().any(|port| {
                    let wanted = |ports: &Ports| ports.contain(port.container_port, &port.protocol);
                    self.exposed.iter().any(wanted)
                }))
            && self.images.as_ref().is_none_or(|images| {
                container.image_id.as_ref().is_some_and(|image| images.contains(image))
            })
            && self.before.as_ref().is_none_or(older)
            && self.since.as_ref().is_none_or(newer)
    }
}

fn invalid(key: &str, value: &str) -> ParseError {
    ParseError(format!("invalid filter '{key}={value}'"))
}

/// Which containers that don't run are removed together.
#[derive(Clone, Debug)]
pub struct PruneFilter {
    filters: Filters,
    until: Option<DateTime<Utc>>,
}

impl PruneFilter {
    /// Returns the filter for these conditions.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(filters: &Filters, now: DateTime<Utc>) -> Result<Self, ParseError> {
        check_keys(filters, &["label", "label!", "until"])?;
        Ok(Self { filters: filters.clone(), until: until(filters, now)? })
    }

    /// Returns whether a container is to go, if it doesn't run.
    pub fn matches(&self, container: &ContainerSummary) -> bool {
        let unwanted = self.filters.values("label!");
        labels_match(self.filters.values("label"), &container.labels)
            && (unwanted.is_empty() || !labels_match(unwanted, &container.labels))
            && self.until.is_none_or(|until| container.created < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{MountInfo, MountKind, PortBinding, Propagation};

    fn container(number: u8, status: Status) -> ContainerSummary {
        ContainerSummary {
            id: ContainerId::from_bytes([number; 32]),
            name: format!("web-{number}"),
            image: "box".into(),
            image_id: Some(Digest::from_bytes(&[9; 32])),
            command: String::new(),
            created: DateTime::from_timestamp(1_700_000_000 + i64::from(number), 0).unwrap(),
            status,
            status_text: String::new(),
            exit_code: (status == Status::Exited).then_some(3),
            started_at: None,
            health: (number == 1).then_some(HealthStatus::Healthy),
            restart_count: None,
            auto_remove: false,
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ports: vec![PortBinding {
                container_port: 80,
                protocol: "tcp".into(),
                host: Some(("0.0.0.0".parse().unwrap(), 8080)),
            }],
            endpoints: Vec::new(),
            networks: vec!["bridge".into()],
            network_mode: Default::default(),
            mounts: vec![MountInfo {
                kind: MountKind::Bind,
                name: None,
                source: "/srv".into(),
                destination: "/data".into(),
                writable: true,
                mode: String::new(),
                propagation: Propagation::default(),
            }],
            size: None,
        }
    }

    fn filters(texts: &[&str]) -> Filters {
        let mut filters = Filters::default();
        for text in texts {
            filters.add(text).unwrap();
        }
        filters
    }

    #[test]
    fn each_key_lets_through_what_docker_lets_through() {
        let all = [container(1, Status::Running), container(2, Status::Exited)];
        for (conditions, wanted) in [
            (&[][..], &[1, 2][..]),
            (&["name=web"], &[1, 2]),
            (&["name=^/web-1$"], &[1]),
            (&["name=^web-2$", "name=nobody"], &[2]),
            (&["name=("], &[]),
            (&["name="], &[1, 2]),
            (&["id=0101"], &[1]),
            (&["status=running"], &[1]),
            (&["status=running", "status=exited"], &[1, 2]),
            (&["status=dead"], &[]),
            (&["health=healthy"], &[1]),
            (&["health=none"], &[2]),
            (&["health=none", "health=starting"], &[2]),
            (&["exited=3"], &[2]),
            (&["exited=0"], &[]),
            (&["label=a"], &[1, 2]),
            (&["label=a=1", "label=b"], &[]),
            (&["label=a=2"], &[]),
            (&["network=bridge"], &[1, 2]),
            (&["network=none"], &[]),
            (&["volume=/data"], &[1, 2]),
            (&["volume=/srv"], &[1, 2]),
            (&["volume=/s"], &[]),
            (&["publish=8080"], &[1, 2]),
            (&["publish=80"], &[]),
            (&["publish=8000-9000/tcp"], &[1, 2]),
            (&["expose=80/udp"], &[]),
            (&["expose=80"], &[1, 2]),
            (&["is-task=true"], &[]),
            (&["is-task=false"], &[1, 2]),
            (&["status=exited", "name=web-1"], &[]),
        ] {
            let filter = ContainerFilter::new(&filters(conditions)).unwrap();
            let numbers = (1..).zip(&all).filter(|(_, c)| filter.matches(c)).map(|(n, _)| n);
            assert_eq!(numbers.collect::<Vec<_>>(), wanted, "{conditions:?}");
        }
        assert!(ContainerFilter::new(&filters(&["status=exited"])).unwrap().wants_all());
        assert!(!ContainerFilter::new(&filters(&["exited=3"])).unwrap().wants_all());
    }

    #[test]
    fn age_and_image_are_those_of_others() {
        let all = [container(1, Status::Running), container(2, Status::Exited)];
        let mut filter = ContainerFilter::new(&filters(&["before=web-2"])).unwrap();
        assert_eq!(filter.limits(), (Some("web-2"), None));
        filter.set_before(all[1].created, all[1].id.clone());
        assert!(filter.matches(&all[0]) && !filter.matches(&all[1]));
        let mut filter = ContainerFilter::new(&filters(&["since=web-1"])).unwrap();
        filter.set_since(all[0].created, all[0].id.clone());
        assert!(!filter.matches(&all[0]) && filter.matches(&all[1]));
        // Of the same age: the order of the list decides.
        let mut twin = container(3, Status::Running);
        twin.created = all[1].created;
        filter.set_since(all[1].created, all[1].id.clone());
        assert!(!filter.matches(&all[1]) && !filter.matches(&twin));
        filter.set_since(twin.created, twin.id.clone());
        assert!(filter.matches(&all[1]));
        let mut filter = ContainerFilter::new(&filters(&["ancestor=x"])).unwrap();
        assert_eq!(filter.ancestors(), ["x"]);
        filter.set_images(Vec::new());
        assert!(!filter.matches(&all[0]));
        filter.set_images(vec![Digest::from_bytes(&[9; 32])]);
        assert!(filter.matches(&all[0]));
    }

    #[test]
    fn what_means_nothing_is_refused_in_dockers_words() {
        for (condition, complaint) in [
            ("foo=bar", "invalid filter 'foo'"),
            ("status=foo", "invalid filter 'status=foo'"),
            ("status=", "invalid filter 'status='"),
            ("is-task=x", "invalid filter 'is-task=[x]'"),
            ("exited=x", "strconv.Atoi: parsing \"x\": invalid syntax"),
            ("health=foo", "unrecognized filter value for health: foo"),
            (
                "publish=99999999",
                "error while looking up for publish 99999999: strconv.ParseUint: parsing \
                 \"99999999\": value out of range",
            ),
            (
                "expose=x",
                "error while looking up for expose x: strconv.ParseUint: parsing \"x\": invalid \
                 syntax",
            ),
        ] {
            let error = ContainerFilter::new(&filters(&[condition])).unwrap_err();
            assert_eq!(error.to_string(), complaint, "{condition}");
        }
    }

    #[test]
    fn prune_takes_what_is_old_and_not_kept() {
        let container = container(1, Status::Exited);
        let now = container.created + chrono::TimeDelta::hours(2);
        for (conditions, wanted) in [
            (&[][..], true),
            (&["until=1h"], true),
            (&["until=3h"], false),
            (&["label=a"], true),
            (&["label!=a"], false),
            (&["label!=a=2"], true),
            (&["label=b"], false),
        ] {
            let filter = PruneFilter::new(&filters(conditions), now).unwrap();
            assert_eq!(filter.matches(&container), wanted, "{conditions:?}");
        }
        for (conditions, complaint) in [
            (&["foo=bar"][..], "invalid filter 'foo'"),
            (&["until=x"], "failed to parse value as time or duration: \"x\""),
            (&["until=1h", "until=2h"], "more than one until filter specified"),
        ] {
            let error = PruneFilter::new(&filters(conditions), now).unwrap_err();
            assert_eq!(error.to_string(), complaint);
        }
    }
}
