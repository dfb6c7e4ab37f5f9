//! What the URL of the page selects.

use std::borrow::Cow;

use chrono::SecondsFormat;
use url::form_urlencoded;

use crate::dashboard::view;
use crate::moments;

/// The parameters that select a page of the list. A link to another selection begins at the first page.
const POSITION: [&str; 2] = ["cursor", "newer"];

/// The parameter that selects no runs, but how many are on a page.
const LENGTH: &str = "limit";

/// The parameters that are times. The page also accepts how long ago it was, such as `2h`.
const TIMES: [&str; 2] = ["started_after", "started_before"];

/// The older name of the first one.
const SINCE: &str = "since";

/// The field of the form with all tags.
pub(super) const TAGS: &str = "tags";

/// What the name of the parameter for a tag begins with.
pub(super) const TAG: &str = "tag.";

/// What the URL selects: the parameters of `GET /_api/runs`, except that times are as people write them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filters {
    /// The parameters, without empty ones and without the tenant. Each name is there once.
    pairs: Vec<(String, String)>,
    /// Whether the query is what [`Filters::pairs`] returns.
    pub(super) is_plain: bool,
}

impl Filters {
    /// Reads the query of the page. A form sends empty fields, each status as a field of its own, and all tags in one field.
    pub(super) fn parse(query: &str) -> Self {
        let mut filters = Self::default();
        let mut given = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name == view::TENANT {
                continue;
            }
            given.push((name.clone().into_owned(), value.clone().into_owned()));
            match (&*name, value.trim()) {
                (_, "") => {}
                (TAGS, list) => filters.add_tags(list),
                (SINCE, time) => filters.add("started_after", time),
                (name, value) => filters.add(name, value),
            }
        }
        filters.is_plain = filters.pairs == given;
        filters
    }

    fn add(&mut self, name: &str, value: &str) {
        match self.pairs.iter_mut().find(|(known, _)| known == name) {
            Some((_, list)) if name == "status" => {
                list.push(',');
                list.push_str(value);
            }
            // What is given twice, the API refuses, and so it stays.
            _ => self.pairs.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Adds tags such as `order=1041, customer=Ada`. A comma without a `=` after it belongs to the value.
    fn add_tags(&mut self, list: &str) {
        let mut tags: Vec<(&str, String)> = Vec::new();
        for part in list.split(',') {
            match (part.split_once('='), tags.last_mut()) {
                (Some((name, value)), _) => tags.push((name.trim(), value.trim().to_owned())),
                (None, Some((_, value))) => {
                    value.push(',');
                    value.push_str(part.trim_end());
                }
                // It is no list of tags.
                (None, None) => return self.add(TAGS, list),
            }
        }
        for (name, value) in tags {
            self.add(&format!("{TAG}{name}"), &value);
        }
    }

    /// Returns the parameters as the URL of the page has them.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Returns the value of a parameter; empty if it has none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Returns the tags as the form has them.
    pub(super) fn tags(&self) -> Cow<'_, str> {
        let tags = self.pairs.iter().filter_map(|(name, value)| Some((name.strip_prefix(TAG)?, value)));
        let tags: Vec<String> = tags.map(|(name, value)| format!("{name}={value}")).collect();
        if tags.is_empty() { self.get(TAGS).into() } else { tags.join(", ").into() }
    }

    /// Returns whether the status is selected by name.
    pub(super) fn has_status(&self, status: &str) -> bool {
        self.get("status").split(',').any(|word| word == status)
    }

    /// Returns whether some runs are left out.
    pub(super) fn select(&self) -> bool {
        self.pairs.iter().any(|(name, _)| name != LENGTH && !POSITION.contains(&name.as_str()))
    }

    /// Returns whether the URL has a position in the list.
    pub(super) fn has_position(&self) -> bool {
        self.pairs.iter().any(|(name, _)| POSITION.contains(&name.as_str()))
    }

    /// Returns the parameters of another page of the same selection; of the first one without a position.
    pub(super) fn page<'a>(&'a self, position: Option<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
        let pairs = self.pairs().into_iter().filter(|(name, _)| !POSITION.contains(name));
        pairs.chain(position).collect()
    }

    /// Returns the query of `GET /_api/runs`.
    ///
    /// # Errors
    /// A message about a time that cannot be read, or about tags. What else is wrong, the API says.
    pub(super) fn query(&self) -> Result<String, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs() {
            if name == TAGS {
                return Err(format!(
                    "`{value}` is no tag: give NAME=VALUE, such as order=1041, and several with commas"
                ));
            }
            if TIMES.contains(&name) {
                let time = moments::parse(value).map_err(|error| format!("`{name}`: {error}"))?;
                query.append_pair(name, &time.to_rfc3339_opts(SecondsFormat::Millis, true));
            } else {
                query.append_pair(name, value);
            }
        }
        Ok(query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_sends_becomes_the_parameters_of_the_api() {
        for (form, plain, query) in [
            ("workflow=&status=&key=+&tenant=acme", "", ""),
            (
                "status=failed&status=paused&key=a%26b",
                "status=failed,paused key=a&b",
                "status=failed%2Cpaused&key=a%26b",
            ),
            ("since=2026-01-31", "started_after=2026-01-31", "started_after=2026-01-31T00%3A00%3A00.000Z"),
            ("tags=order%3D1041", "tag.order=1041", "tag.order=1041"),
            ("tags=a%3Db%2C+c%3Dd%3De%2C+f", "tag.a=b tag.c=d=e, f", "tag.a=b&tag.c=d%3De%2C+f"),
            ("tag.a=1&tags=b%3D2", "tag.a=1 tag.b=2", "tag.a=1&tag.b=2"),
            ("unknown=1&limit=10&limit=20", "unknown=1 limit=10 limit=20", "unknown=1&limit=10&limit=20"),
        ] {
            let filters = Filters::parse(form);
            let pairs: Vec<String> =
                filters.pairs().iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(pairs.join(" "), plain, "{form}");
            assert_eq!(filters.query().unwrap(), query, "{form}");
            // A browser that is sent to the parameters is not sent further.
            let again =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(filters.pairs()).finish();
            assert_eq!(Filters::parse(&again), Filters { is_plain: true, ..filters }, "{form}");
        }
    }

    #[test]
    fn a_time_and_a_tag_that_cannot_be_read_are_said() {
        let error = |query| Filters::parse(query).query().unwrap_err();
        assert!(error("started_after=soon").starts_with("`started_after`: `soon` is neither a duration"));
        assert!(error("tags=order").starts_with("`order` is no tag: give NAME=VALUE"));
        assert_eq!(Filters::parse("tags=order").tags(), "order");
    }

    #[test]
    fn the_form_shows_what_the_url_selects() {
        let filters = Filters::parse("tag.order=1041&tag.customer=Ada&status=failed,paused");
        assert_eq!(filters.tags(), "order=1041, customer=Ada");
        assert!(filters.has_status("failed") && filters.has_status("paused"));
        assert!(!filters.has_status("running") && !filters.has_status("fail"));
        assert_eq!((filters.get("key"), filters.get("status")), ("", "failed,paused"));
    }

    #[test]
    fn another_page_has_the_same_filters() {
        let filters = Filters::parse("status=failed&cursor=1&limit=100&tenant=acme");
        assert_eq!(filters.page(None), [("status", "failed"), ("limit", "100")]);
        let newer = filters.page(Some(("newer", "2")));
        assert_eq!(newer, [("status", "failed"), ("limit", "100"), ("newer", "2")]);
        assert!(filters.has_position() && filters.select() && filters.is_plain);
        assert!(!Filters::parse("limit=100&cursor=1").select());
    }
}
