//! The styles and modules of the pages.
//!
//! The URL of an asset has a digest of all assets, so that a browser keeps them until one changes. Modules import each other
//! by relative paths, and so by the same digest.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use super::Pages;
use super::view::View;
use crate::api::Path;

/// The styles, in the order in which they apply.
const STYLES: &str = concat!(
    include_str!("assets/base.css"),
    include_str!("assets/runs.css"),
    include_str!("assets/run.css"),
    include_str!("assets/workflows.css"),
    include_str!("assets/admin.css"),
    include_str!("assets/cards.css"),
);

/// A module: its path below `assets/`.
macro_rules! module {
    ($path:literal) => {
        ($path, MODULE, include_str!(concat!("assets/", $path)))
    };
}

/// The assets: path, type, content.
const ASSETS: &[(&str, &str, &str)] = &[
    ("forge.css", "text/css; charset=utf-8", STYLES),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    module!("api.js"),
    module!("clipboard.js"),
    module!("dialog.js"),
    module!("document.js"),
    module!("dom.js"),
    module!("errors.js"),
    // Built from `clients/typescript`; a test compares it.
    module!("forge.js"),
    module!("json.js"),
    module!("json/check.js"),
    module!("json/field.js"),
    module!("json/format.js"),
    module!("json/scan.js"),
    module!("page.js"),
    module!("printable.js"),
    module!("run.js"),
    module!("run/actions.js"),
    module!("run/axis.js"),
    module!("run/bars.js"),
    module!("run/calls.js"),
    module!("run/detail.js"),
    module!("run/documents.js"),
    module!("run/follow.js"),
    module!("run/forms.js"),
    module!("run/grid.js"),
    module!("run/journal.js"),
    module!("run/keys.js"),
    module!("run/live.js"),
    module!("run/logs.js"),
    module!("run/parts.js"),
    module!("run/row.js"),
    module!("run/scale.js"),
    module!("run/search.js"),
    module!("run/source.js"),
    module!("run/ticks.js"),
    module!("run/tools.js"),
    module!("run/tree.js"),
    module!("run/view.js"),
    module!("run/words.js"),
    module!("runs/bulk.js"),
    module!("runs/changes.js"),
    module!("runs/filters.js"),
    module!("runs/list.js"),
    module!("runs/live.js"),
    module!("runs/page.js"),
    module!("runs/select.js"),
    module!("tags.js"),
    module!("tenant.js"),
    module!("time.js"),
    module!("workflows/counts.js"),
    module!("workflows/fields.js"),
    module!("workflows/form.js"),
    module!("workflows/input.js"),
    module!("workflows/page.js"),
    module!("workflows/start.js"),
    module!("workflows/upload.js"),
    module!("workflows/values.js"),
    module!("workflows/versions.js"),
    module!("workflows/widgets.js"),
];

const MODULE: &str = "text/javascript; charset=utf-8";

/// Hexadecimal digits of the digest in a URL.
const DIGITS: usize = 16;

/// An asset under its digest never changes.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Under another digest, a browser asks for an asset that another version of the host has.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (name, _, content) in ASSETS {
        digest.update(name);
        digest.update(content);
    }
    let mut digits: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(DIGITS);
    digits
});

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/assets/{digest}/{*path}", get(asset))
}

/// Returns the relative URL of an asset.
pub(super) fn href(view: &View, name: &str) -> String {
    debug_assert!(ASSETS.iter().any(|(known, ..)| *known == name), "there is no asset {name}");
    format!("{}assets/{}/{name}", view.root, *DIGEST)
}

async fn asset(Path((digest, path)): Path<(String, String)>) -> Response {
    let Some((_, kind, content)) = ASSETS.iter().find(|(known, ..)| *known == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = if digest == *DIGEST { KEPT } else { NOT_KEPT };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, kept),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, *content).into_response()
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use super::*;

    /// Returns the path that an import of a module leads to.
    fn imported(from: &str, import: &str) -> String {
        let folder = FilePath::new(from).parent().unwrap();
        let mut path = Vec::new();
        for part in folder.join(import).iter().map(|part| part.to_str().unwrap()) {
            match part {
                "." => {}
                ".." => assert!(path.pop().is_some(), "{from} imports {import}, which is above the assets"),
                part => path.push(part.to_owned()),
            }
        }
        path.join("/")
    }

    #[test]
    fn each_import_of_a_module_is_an_asset() {
        for (path, _, content) in ASSETS.iter().filter(|(_, kind, _)| *kind == MODULE) {
            let lines =
                content.lines().filter(|line| line.starts_with("import ") || line.starts_with("} from "));
            for line in lines {
                let import = line.split('"').nth(1).unwrap_or_else(|| panic!("{path}: {line}"));
                let found = imported(path, import);
                assert!(
                    ASSETS.iter().any(|(known, ..)| *known == found),
                    "{path} imports {found}, which is no asset"
                );
            }
        }
    }
}
