//! The filters of `volume ls` and `volume prune`.

use wharf_model::{Filters, ParseError, VolumeInfo};

use super::{Patterns, check_keys, labels_match, one_of, truth};

/// Which volumes a list shows.
#[derive(Clone, Debug, Default)]
pub struct VolumeFilter {
    filters: Filters,
    names: Patterns,
    dangling: Option<bool>,
}

impl VolumeFilter {
    /// Returns the filter for these conditions.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(filters: &Filters) -> Result<Self, ParseError> {
        check_keys(filters, &["dangling", "driver", "label", "name"])?;
        Ok(Self {
            filters: filters.clone(),
            names: Patterns::new(filters, "name"),
            dangling: truth(filters, "dangling")?,
        })
    }

    /// Returns whether a volume is wanted.
    pub fn matches(&self, volume: &VolumeInfo) -> bool {
        self.names.matches(&[&volume.name])
            && self.dangling.is_none_or(|dangling| dangling == volume.users.is_empty())
            && one_of(&self.filters, "driver", &volume.driver)
            && labels_match(self.filters.values("label"), &volume.labels)
    }
}

/// Which volumes that no container has are removed together.
#[derive(Clone, Debug)]
pub struct VolumePruneFilter {
    filters: Filters,
    all: bool,
}

impl VolumePruneFilter {
    /// Returns the filter for these conditions; `all` is whether names protect nothing.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(filters: &Filters, all: bool) -> Result<Self, ParseError> {
        check_keys(filters, &["all", "label", "label!"])?;
        let all = all || truth(filters, "all")?.unwrap_or(false);
        Ok(Self { filters: filters.clone(), all })
    }

    /// Returns whether a volume is to go, if no container has it.
    pub fn matches(&self, volume: &VolumeInfo) -> bool {
        let unwanted = self.filters.values("label!");
        volume.is_prunable(self.all)
            && labels_match(self.filters.values("label"), &volume.labels)
            && (unwanted.is_empty() || !labels_match(unwanted, &volume.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, anonymous: bool) -> VolumeInfo {
        VolumeInfo {
            name: name.to_owned(),
            driver: "local".to_owned(),
            mountpoint: String::new(),
            created: None,
            labels: [("a".to_owned(), "1".to_owned())].into(),
            options: std::collections::BTreeMap::new(),
            scope: "local".to_owned(),
            anonymous,
            users: Vec::new(),
            size: None,
        }
    }

    #[test]
    fn lists_are_filtered_by_dockers_rules() {
        let matches = |conditions: &[(&str, &str)]| {
            let filters = Filters::from_iter(conditions.iter().copied());
            VolumeFilter::new(&filters).map(|filter| filter.matches(&volume("data", false)))
        };
        for (conditions, wanted) in [
            (&[][..], true),
            (&[("name", "at")], true),
            (&[("name", "^ata")], false),
            (&[("driver", "local")], true),
            (&[("driver", "nfs")], false),
            (&[("label", "a")], true),
            (&[("label", "a=2")], false),
            (&[("dangling", "true")], true),
            (&[("dangling", "0")], false),
        ] {
            assert_eq!(matches(conditions), Ok(wanted), "{conditions:?}");
        }
        assert_eq!(matches(&[("foo", "1")]).unwrap_err().0, "invalid filter 'foo'");
        assert_eq!(matches(&[("dangling", "x")]).unwrap_err().0, "invalid filter 'dangling=[x]'");
    }

    #[test]
    fn names_protect_unless_all_are_meant() {
        let prune = |conditions: &[(&str, &str)], all: bool, anonymous: bool| {
            let filters = Filters::from_iter(conditions.iter().copied());
            VolumePruneFilter::new(&filters, all).unwrap().matches(&volume("data", anonymous))
        };
        assert!(prune(&[], false, true) && !prune(&[], false, false));
        assert!(prune(&[], true, false) && prune(&[("all", "1")], false, false));
        let filter = VolumePruneFilter::new(&Filters::default(), true).unwrap();
        let options = [("type".to_owned(), "tmpfs".to_owned())].into();
        assert!(!filter.matches(&VolumeInfo { options, ..volume("data", true) }));
        assert!(!prune(&[("label!", "a")], true, true) && prune(&[("label", "a=1")], true, true));
    }
}
