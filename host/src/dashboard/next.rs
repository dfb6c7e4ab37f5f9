//! The page to which the login leads.

use super::view::View;

/// The first segments of the pages to which a login may lead.
const PAGES: [&str; 5] = ["runs", "workflows", "tenants", "nodes", "audit"];

/// The longest path that is kept. A filter of runs is shorter.
const LONGEST: usize = 2_000;

/// A page of the dashboard with its query, as a path relative to the root. It never leads to another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextPage(String);

impl NextPage {
    /// Returns the page of a view, if a login may lead to it.
    pub(super) fn of(view: &View) -> Option<Self> {
        let View { path, query, .. } = view;
        Self::parse(&if query.is_empty() { path.clone() } else { format!("{path}?{query}") })
    }

    /// Reads the page that a URL names. `None` if it is no page of the dashboard.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let mut segments = path.split('/');
        let is_page = segments.next().is_some_and(|first| PAGES.contains(&first));
        // A browser reads `\` as `/`, ignores tabs and line breaks, and reads `%2e` as `.`.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let stays = segments.all(|segment| !is_dots(segment));
        (is_page && is_plain && stays && text.len() <= LONGEST).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_the_dashboard_alone() {
        for page in ["runs", "runs?status=failed&key=a/../b", "runs/0190", "workflows/a.b/start", "audit"] {
            assert_eq!(NextPage::parse(page).unwrap().as_str(), page);
        }
        for other in [
            "",
            "/runs",
            "//evil.example",
            "https://evil.example",
            "runs:x",
            "javascript:alert(1)",
            "\\evil.example",
            "runs\\..\\x",
            "runs/../../x",
            "runs/%2E./x",
            "runs/..",
            "ru\nns",
            "runs\n",
            "login?next=runs",
            "_api/runs",
            "runs/ü",
        ] {
            assert_eq!(NextPage::parse(other), None, "{other:?}");
        }
        assert_eq!(NextPage::parse(&format!("runs?{}", "a".repeat(LONGEST))), None);
    }
}
