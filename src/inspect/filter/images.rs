//! The filters of `images`.

use chrono::{DateTime, Utc};
use wharf_model::{Filters, ImageName, ImageSummary, ParseError};

use super::{check_keys, labels_match, truth, until};

/// Which images a list shows, and by which of their names.
#[derive(Clone, Debug, Default)]
pub struct ImageFilter {
    filters: Filters,
    dangling: Option<bool>,
    until: Option<DateTime<Utc>>,
    before: Option<Option<DateTime<Utc>>>,
    since: Option<Option<DateTime<Utc>>>,
}

impl ImageFilter {
    /// Returns the filter for these conditions.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(filters: &Filters, now: DateTime<Utc>) -> Result<Self, ParseError> {
        check_keys(filters, &["before", "dangling", "label", "reference", "since", "until"])?;
        for pattern in filters.values("reference") {
            glob(pattern, "")
                .ok_or_else(|| ParseError(format!("invalid filter 'reference={pattern}'")))?;
        }
        Ok(Self {
            filters: filters.clone(),
            dangling: truth(filters, "dangling")?,
            until: until(filters, now)?,
            ..Self::default()
        })
    }

    /// Returns the images of `before` and of `since`; when these were made is to be told with
    /// [`ImageFilter::set_limits`].
    pub fn limits(&self) -> (Option<&str>, Option<&str>) {
        let last = |key: &str| self.filters.values(key).last().map(String::as_str);
        (last("before"), last("since"))
    }

    /// Says when the images of `before` and `since` were made; none within for one that doesn't
    /// say so.
    pub fn set_limits(
        &mut self,
        before: Option<Option<DateTime<Utc>>>,
        since: Option<Option<DateTime<Utc>>>,
    ) {
        (self.before, self.since) = (before, since);
    }

    /// Returns an image with those of its names that are wanted, or none when it isn't wanted.
    pub fn apply(&self, mut image: ImageSummary) -> Option<ImageSummary> {
        let made = image.created;
        let wanted = self.dangling.is_none_or(|dangling| dangling == image.tags.is_empty())
            && labels_match(self.filters.values("label"), &image.labels)
            && self.until.is_none_or(|until| made.is_none_or(|made| made < until))
            && self.before.is_none_or(|before| made < before)
            && self.since.is_none_or(|since| made > since);
        if !wanted {
            return None;
        }
        if self.filters.contains("reference") {
            let patterns = self.filters.values("reference");
            image.tags.retain(|name| patterns.iter().any(|pattern| named(pattern, name)));
            image.repo_digests.retain(|text| {
                let repository = text.split_once('@').map_or("", |(repository, _)| repository);
                patterns.iter().any(|p| glob(p, repository) == Some(true))
            });
            if image.tags.is_empty() {
                return None;
            }
        }
        Some(image)
    }
}

/// Returns whether a name fits a pattern, with or without its tag, short or whole.
fn named(pattern: &str, name: &ImageName) -> bool {
    let whole = format!("{}/{}", name.domain(), name.path());
    [name.to_string(), name.familiar_repository(), name.canonical(), whole]
        .iter()
        .any(|text| glob(pattern, text) == Some(true))
}

/// Returns whether a text fits a pattern of Go's `path.Match`: `*` and `?` don't match a slash,
/// `[a-z]` and `[^a-z]` are classes, `\` takes a character for itself. None when it is no pattern.
fn glob(pattern: &str, text: &str) -> Option<bool> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        parts.push(match c {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => Part::Letter(rest.next()?),
            '[' => {
                let negated = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || rest.peek() != Some(&']') {
                    let first = class_letter(&mut rest)?;
                    let last = match rest.next_if_eq(&'-') {
                        Some(_) => class_letter(&mut rest)?,
                        None => first,
                    };
                    ranges.push(first..=last);
                }
                rest.next();
                Part::Class(negated, ranges)
            }
            c => Part::Letter(c),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // Where the last star was, and what it has taken so far.
    let (mut part, mut letter, mut star) = (0, 0, None);
    loop {
        let fits = match (parts.get(part), text.get(letter)) {
            (None, None) => return Some(true),
            (Some(Part::Any), _) => {
                star = Some((part, letter));
                part += 1;
                continue;
            }
            (Some(Part::One), Some(c)) => *c != '/',
            (Some(Part::Letter(wanted)), Some(c)) => wanted == c,
            (Some(Part::Class(negated, ranges)), Some(c)) => {
                ranges.iter().any(|range| range.contains(c)) != *negated
            }
            _ => false,
        };
        if fits {
            (part, letter) = (part + 1, letter + 1);
            continue;
        }
        match star {
            Some((at, taken)) if text.get(taken).is_some_and(|c| *c != '/') => {
                star = Some((at, taken + 1));
                (part, letter) = (at + 1, taken + 1);
            }
            _ => return Some(false),
        }
    }
}

/// A part of a pattern.
enum Part {
    Any,
    One,
    Letter(char),
    Class(bool, Vec<std::ops::RangeInclusive<char>>),
}

fn class_letter(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}

/// Which of the images that nobody uses a prune removes: docker's `label`, `label!` and `until`, and
/// `dangling`, which the engine's API has.
#[derive(Clone, Debug)]
pub struct ImagePruneFilter {
    filters: Filters,
    dangling: bool,
    until: Option<DateTime<Utc>>,
}

impl ImagePruneFilter {
    /// Returns the filter for these conditions; without `all`, only images without a name go.
    ///
    /// # Errors
    /// In docker's words, when a key or a value means nothing.
    pub fn new(all: bool, filters: &Filters, now: DateTime<Utc>) -> Result<Self, ParseError> {
        check_keys(filters, &["dangling", "label", "label!", "until"])?;
        let dangling = truth(filters, "dangling")?.unwrap_or(!all);
        Ok(Self { filters: filters.clone(), dangling, until: until(filters, now)? })
    }

    /// Returns whether an image is to go, if no container uses it.
    pub fn matches(&self, image: &ImageSummary) -> bool {
        let unwanted = self.filters.values("label!");
        (image.tags.is_empty() || !self.dangling)
            && labels_match(self.filters.values("label"), &image.labels)
            && (unwanted.is_empty() || !labels_match(unwanted, &image.labels))
            && self.until.is_none_or(|until| image.created.is_none_or(|at| at < until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::Digest;

    #[test]
    fn patterns_are_those_of_go() {
        for (pattern, text, fits) in [
            ("b*", "box", Some(true)),
            ("b*", "b/x", Some(false)),
            ("*/*", "b/x", Some(true)),
            ("b?x", "box", Some(true)),
            ("b?x", "b/x", Some(false)),
            ("[a-c]ox", "box", Some(true)),
            ("[^a-c]ox", "box", Some(false)),
            ("b\\*", "b*", Some(true)),
            ("*a*b*c", "xxaxxbxxbc", Some(true)),
            ("*a*b*c", "xxaxxbxxb", Some(false)),
            ("", "", Some(true)),
            ("*", "", Some(true)),
            ("[", "x", None),
            ("[a", "x", None),
            ("[]a]", "x", None),
            ("\\", "x", None),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
        let (stars, letters) = ("*a".repeat(2000), "a".repeat(5000));
        assert_eq!(glob(&format!("{stars}b"), &letters), Some(false));
    }

    #[test]
    fn images_are_filtered_with_their_names() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let image = || ImageSummary {
            id: Digest::from_bytes(&[1; 32]),
            tags: vec!["box".parse().unwrap(), "other:v2".parse().unwrap()],
            repo_digests: Vec::new(),
            created: Some(time("2024-05-06T12:00:00Z")),
            size: 1,
            containers: 0,
            labels: [("a".to_owned(), "1".to_owned())].into(),
        };
        let now = time("2024-05-06T14:00:00Z");
        let names = |condition: &str| {
            let mut filters = Filters::default();
            filters.add(condition).unwrap();
            let image = ImageFilter::new(&filters, now).unwrap().apply(image());
            image.map(|image| image.tags.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let both = Some(vec!["box:latest".to_owned(), "other:v2".to_owned()]);
        assert_eq!(names("reference=b*"), Some(vec!["box:latest".to_owned()]));
        assert_eq!(names("reference=*:v*"), Some(vec!["other:v2".to_owned()]));
        assert_eq!(names("reference=docker.io/library/box"), Some(vec!["box:latest".to_owned()]));
        assert_eq!(names("reference=x"), None);
        assert_eq!(names("dangling=true"), None);
        assert_eq!(names("dangling=false"), both);
        assert_eq!(names("label=a=1"), both);
        assert_eq!(names("label=b"), None);
        assert_eq!(names("until=1h"), both);
        assert_eq!(names("until=3h"), None);
        let mut filter = ImageFilter::new(&Filters::default(), now).unwrap();
        filter.set_limits(Some(Some(now)), None);
        assert!(filter.apply(image()).is_some());
        filter.set_limits(None, Some(Some(now)));
        assert!(filter.apply(image()).is_none());
        for (condition, complaint) in [
            ("foo=bar", "invalid filter 'foo'"),
            ("dangling=x", "invalid filter 'dangling=[x]'"),
            ("until=x", "failed to parse value as time or duration: \"x\""),
        ] {
            let mut filters = Filters::default();
            filters.add(condition).unwrap();
            assert_eq!(ImageFilter::new(&filters, now).unwrap_err().to_string(), complaint);
        }
    }
}
