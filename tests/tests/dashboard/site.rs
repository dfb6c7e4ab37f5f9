//! Reads pages as a browser without JavaScript does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use forge_tests::{Host, PATIENCE};
use regex_lite::Regex;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

/// A browser at one address.
#[derive(Clone)]
pub(crate) struct Site {
    client: Client,
    base: Url,
    token: Option<String>,
}

/// A response.
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// An element's start.
#[derive(Debug)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Whether it is in a label.
    pub(crate) is_in_label: bool,
}

impl Site {
    /// Looks at a host.
    pub(crate) fn of(host: &Host) -> Self {
        Self::at(&host.url())
    }

    /// Looks at an address, under which the dashboard is.
    pub(crate) fn at(url: &str) -> Self {
        // The host's certificates are of no concern: this installs the provider that reqwest needs.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(PATIENCE).redirect(Policy::none());
        let base = Url::parse(&format!("{}/", url.trim_end_matches('/'))).unwrap();
        Self { client: client.build().unwrap(), base, token: None }
    }

    /// Sends an API key with each request.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Reads the page at a path below the address.
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.fetch(self.base.join(path).unwrap()).await
    }

    /// Reads the page at a path below the address, to which the host may send the browser from there.
    pub(crate) async fn open(&self, path: &str) -> Page {
        let page = self.get(path).await;
        if page.status != 303 {
            return page;
        }
        let next = self.fetch(page.url.join(page.header("location")).unwrap()).await;
        assert_ne!(
            next.status,
            303,
            "{path} leads to {}, and from there to {}",
            next.url,
            next.header("location")
        );
        next
    }

    async fn fetch(&self, url: Url) -> Page {
        let mut request = self.client.get(url.clone()).header("accept", "text/html");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Page { url, status, headers, body: response.text().await.unwrap() }
    }

    /// Reads all pages that links lead to from a path, each path once, and what they load. Links must stay below the
    /// address.
    pub(crate) async fn walk(&self, path: &str) -> Vec<Page> {
        let mut waiting = VecDeque::from([self.base.join(path).unwrap()]);
        let mut known = BTreeSet::new();
        let mut pages = Vec::new();
        while let Some(url) = waiting.pop_front() {
            if !known.insert(url.path().to_owned()) {
                continue;
            }
            assert!(url.as_str().starts_with(self.base.as_str()), "a link leads to {url}");
            let page = self.fetch(url).await;
            if page.is_html() {
                waiting.extend(page.links());
            }
            pages.push(page);
        }
        pages
    }
}

impl Page {
    /// Returns a header; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn is_html(&self) -> bool {
        self.header("content-type").starts_with("text/html")
    }

    /// Returns the addresses of all links, forms, styles and scripts.
    pub(crate) fn links(&self) -> Vec<Url> {
        let tags = self.tags();
        let of = |tag: &Tag| {
            let links = ["href", "src", "action"].iter().filter_map(|name| tag.attributes.get(*name));
            links.map(|link| self.url.join(link).unwrap()).collect::<Vec<_>>()
        };
        tags.iter()
            .flat_map(of)
            .map(|mut url| {
                url.set_fragment(None);
                url
            })
            .collect()
    }

    /// Returns the starts of all elements. The pages escape `>` in attributes.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        let tag = Regex::new(r#"<([a-z][a-z0-9-]*)((?:\s+[^\s=>"]+(?:="[^"]*")?)*)\s*>"#).unwrap();
        let attribute = Regex::new(r#"([^\s=>"]+)(?:="([^"]*)")?"#).unwrap();
        let text = |text: &str| {
            text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        };
        let attributes = |all: &str| {
            let found = attribute.captures_iter(all);
            found.map(|it| (it[1].to_owned(), text(it.get(2).map_or("", |value| value.as_str())))).collect()
        };
        let tags: Vec<Tag> = tag
            .captures_iter(&self.body)
            .map(|found| {
                let before = found.get(0).map_or("", |tag| &self.body[..tag.start()]);
                let is_in_label = before.rfind("<label") > before.rfind("</label>");
                Tag { name: found[1].to_owned(), attributes: attributes(&found[2]), is_in_label }
            })
            .collect();
        let starts = Regex::new("<[a-zA-Z]").unwrap().find_iter(&self.body).count();
        assert_eq!(tags.len(), starts, "{}: an element is not understood", self.url);
        tags
    }

    /// Returns the attribute of all elements that have it, by a part of the start of the element.
    pub(crate) fn all(&self, name: &str, attribute: &str) -> Vec<String> {
        let tags = self.tags().into_iter().filter(|tag| tag.name == name);
        tags.filter_map(|mut tag| tag.attributes.remove(attribute)).collect()
    }
}
