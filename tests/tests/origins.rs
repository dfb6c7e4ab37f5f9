//! Web pages of other origins: none by default, and those that the operator allows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Api, Host};
use reqwest::{Method, Response};
use serde_json::json;

const APP: &str = "https://app.example.com";

/// Sends a request as a browser does for a page of this origin.
async fn page(api: &Api, origin: &str, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = api.request(method, path).await.header("origin", origin);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

const PREFLIGHT: [(&str, &str); 2] = [
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type"),
];

#[tokio::test]
async fn no_page_of_another_origin_uses_the_api_unless_it_is_allowed() {
    let host = Host::start().await;
    let api = host.api();
    for origin in [APP, "null", "http://localhost:5173"] {
        for (method, headers) in [(Method::GET, &[][..]), (Method::POST, &[]), (Method::OPTIONS, &PREFLIGHT)]
        {
            let answer = page(&api, origin, method, "/_api/runs", headers).await;
            assert_eq!(answer.status(), 403);
            assert_eq!(header(&answer, "access-control-allow-origin"), None);
            assert!(answer.text().await.unwrap().contains("--allow-origin"));
        }
    }
}

#[tokio::test]
async fn pages_of_an_allowed_origin_present_a_key_and_never_a_session() {
    let host = Host::builder().flag(["--allow-origin", "https://app.example.com,http://LOCALHOST:5173/"]);
    let host = host.start().await;
    let api = host.api();
    let created =
        api.post_json("/_api/keys", &json!({ "role": "admin", "name": "ops", "host": true })).await.ok();
    let token = created["token"].as_str().unwrap();
    for origin in [APP, "http://localhost:5173"] {
        let answer = page(&api, origin, Method::OPTIONS, "/_api/workflows/x/start", &PREFLIGHT).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
        assert_eq!(header(&answer, "vary"), Some("origin"));
        assert!(header(&answer, "access-control-allow-methods").unwrap().contains("POST"));
        assert!(header(&answer, "access-control-allow-headers").unwrap().contains("authorization"));
        let bearer = format!("Bearer {token}");
        let answer = page(&api, origin, Method::GET, "/_api/runs", &[("authorization", &bearer)]).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
        // A page sees why it is refused.
        let answer = page(&api, origin, Method::GET, "/_api/runs", &[]).await;
        assert_eq!(answer.status(), 401);
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
    }
    for other in [
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
    ] {
        let answer = page(&api, other, Method::OPTIONS, "/_api/runs", &PREFLIGHT).await;
        assert_eq!(answer.status(), 403, "{other}");
        assert_eq!(header(&answer, "access-control-allow-origin"), None);
    }
    // A browser sends the cookie of the dashboard with a page of the same site, such as one of another port.
    let login =
        api.request(Method::POST, "/_api/session").await.json(&json!({ "key": token })).send().await.unwrap();
    let cookie = header(&login, "set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let own = api.request(Method::GET, "/_api/runs").await.header("cookie", &cookie).send().await.unwrap();
    assert_eq!(own.status(), 200);
    let answer = page(&api, "http://localhost:5173", Method::GET, "/_api/runs", &[("cookie", &cookie)]).await;
    assert_eq!(answer.status(), 401);
    // Nor does it log in.
    let login = api.request(Method::POST, "/_api/session").await.header("origin", APP);
    let login = login.json(&json!({ "key": token })).send().await.unwrap();
    assert_eq!((login.status().as_u16(), header(&login, "set-cookie")), (403, None));
}

#[tokio::test]
async fn answers_are_kept_out_of_caches_and_of_pages_that_embed_them() {
    let host = Host::builder().flag(["--allow-origin", APP]).start().await;
    let api = host.api();
    for path in ["/_api/runs", "/_api/session", "/_api/openapi.json"] {
        for headers in [&[][..], &[("origin", APP)]] {
            let mut request = api.request(Method::GET, path).await;
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{path}");
            assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
            assert_eq!(header(&answer, "cross-origin-resource-policy"), Some("same-origin"));
        }
    }
}

#[tokio::test]
async fn an_allowed_origin_does_not_open_a_host_without_keys_to_other_names() {
    let host = Host::builder().flag(["--allow-origin", APP]).start().await;
    let api = host.api();
    assert_eq!(page(&api, APP, Method::GET, "/_api/runs", &[]).await.status(), 200);
    let renamed = [("host", "evil.example:7070")];
    assert_eq!(page(&api, APP, Method::GET, "/_api/runs", &renamed).await.status(), 403);
    assert_eq!(
        page(&api, "http://evil.example:7070", Method::GET, "/_api/runs", &renamed).await.status(),
        403
    );
}

#[tokio::test]
async fn what_is_no_origin_is_refused_when_the_host_starts() {
    for wrong in ["*", "app.example.com", "https://app.example.com/path"] {
        let refused = Host::builder().flag(["--allow-origin", wrong]).try_start().await.err().unwrap();
        assert!(refused.log.contains("is not the origin of web pages"), "{}", refused.log);
    }
}

/// A proxy on this machine that ends TLS says so; without it, a browser would not keep the cookie.
#[tokio::test]
async fn a_session_behind_https_is_sent_over_https_only() {
    let host = Host::start().await;
    let api = host.api();
    let created =
        api.post_json("/_api/keys", &json!({ "role": "admin", "name": "ops", "host": true })).await.ok();
    for (proto, secure) in [("https", true), ("http", false)] {
        let login = api.request(Method::POST, "/_api/session").await.header("x-forwarded-proto", proto);
        let login = login.json(&json!({ "key": created["token"] })).send().await.unwrap();
        assert_eq!(header(&login, "set-cookie").unwrap().ends_with("; Secure"), secure);
    }
}
