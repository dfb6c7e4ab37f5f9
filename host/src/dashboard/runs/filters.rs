//! What the URL of the page selects.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use url::form_urlencoded;

use crate::dashboard::view;
use crate::moments;

/// The parameters that select a page of the list. A link to another selection begins at the first page.
const POSITION: [&str; 2] = ["cursor", "newer"];

/// The parameters that do not select runs.
const LENGTH: &str = "limit";

/// The parameters that are times. The page also accepts how long ago it was, such as `2h`.
const TIMES: [&str; 1] = ["since"];

/// What the URL selects: the parameters of `GET /_api/runs`, as a form sends them. Fields may be empty, a status is a field
/// of its own, and times are as people write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filters {
    /// Without empty values and without the tenant.
    pairs: Vec<(String, String)>,
}

impl Filters {
    /// Reads the query of the page.
    pub(super) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let pairs = pairs.map(|(name, value)| (name.into_owned(), value.trim().to_owned()));
        let is_filter = |(name, value): &(String, String)| name != view::TENANT && !value.is_empty();
        Self { pairs: pairs.filter(is_filter).collect() }
    }

    /// Returns the value of a field; empty if it has none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Returns the values of a field that may have several.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether the status is selected by name.
    pub(super) fn has_status(&self, status: &str) -> bool {
        self.all("status").any(|list| list.split(',').any(|word| word == status))
    }

    /// Returns whether one of the fields has a value.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.all(name).next().is_some())
    }

    /// Returns whether some runs are left out.
    pub(super) fn select(&self) -> bool {
        self.pairs.iter().any(|(name, _)| name != LENGTH && !POSITION.contains(&name.as_str()))
    }

    /// Returns whether this is not the first page.
    pub(super) fn is_later_page(&self) -> bool {
        self.has_any(&POSITION)
    }

    /// Returns the query of another page of the same selection; the first one without a position.
    pub(super) fn page<'a>(&'a self, position: Option<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
        let pairs = self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(|(name, _)| !POSITION.contains(name)).chain(position).collect()
    }

    /// Returns the parameters for the API.
    ///
    /// # Errors
    /// A message about a time that cannot be read. What else is wrong, the API says.
    pub(super) fn parameters(&self) -> Result<BTreeMap<String, String>, String> {
        let mut parameters = BTreeMap::new();
        for (name, value) in &self.pairs {
            let value = if TIMES.contains(&name.as_str()) {
                let time = moments::parse(value).map_err(|error| format!("`{name}`: {error}"))?;
                time.to_rfc3339_opts(SecondsFormat::Millis, true)
            } else {
                value.clone()
            };
            let several = parameters.entry(name.clone()).or_insert_with(String::new);
            if name == "status" && !several.is_empty() {
                several.push(',');
                several.push_str(&value);
            } else {
                *several = value;
            }
        }
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Vec<(String, String)> {
        Filters::parse(query).parameters().unwrap().into_iter().collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_form_becomes_parameters_of_the_api() {
        assert_eq!(parameters("workflow=&status=&key=+&tenant=acme"), []);
        assert_eq!(
            parameters("status=failed&status=paused&key=a%26b&since=2026-01-31"),
            [pair("key", "a&b"), pair("since", "2026-01-31T00:00:00.000Z"), pair("status", "failed,paused")]
        );
        assert_eq!(parameters("unknown=1"), [pair("unknown", "1")]);
        let error = Filters::parse("since=soon").parameters().unwrap_err();
        assert!(error.starts_with("`since`: `soon` is neither a duration"), "{error}");
    }

    #[test]
    fn another_page_has_the_same_filters() {
        let filters = Filters::parse("status=failed&cursor=1&limit=100&tenant=acme");
        assert_eq!(filters.page(None), [("status", "failed"), ("limit", "100")]);
        assert_eq!(
            filters.page(Some(("cursor", "2"))),
            [("status", "failed"), ("limit", "100"), ("cursor", "2")]
        );
        assert!(filters.is_later_page() && filters.select());
        assert!(!Filters::parse("limit=100&cursor=1").select());
    }

    #[test]
    fn statuses_are_fields_or_a_list() {
        for query in ["status=failed&status=paused", "status=failed,paused"] {
            let filters = Filters::parse(query);
            assert!(filters.has_status("failed") && filters.has_status("paused"), "{query}");
            assert!(!filters.has_status("running") && !filters.has_status("fail"), "{query}");
        }
    }
}
