//! Which package a path means, from what `cargo metadata` says, and where its module went, from what
//! `cargo build` says.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The package to compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name in its manifest.
    pub(crate) name: String,
    /// Its id as cargo writes it in messages, and takes it for `--package`.
    pub(crate) id: String,
}

/// Why there is not exactly one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unclear {
    /// None of these packages makes a dynamic library.
    NoCdylib { packages: Vec<String> },
    /// The workspace has several that do: names and folders.
    SeveralCdylibs { packages: Vec<(String, PathBuf)> },
    /// The answer is not of the documented form.
    Unreadable,
}

/// The package with this manifest or, where the manifest is only a workspace's, the one member that is
/// a workflow crate.
pub(crate) fn select(metadata: &str, manifest: &Path) -> Result<Package, Unclear> {
    let metadata: Value = serde_json::from_str(metadata).map_err(|_| Unclear::Unreadable)?;
    let packages = metadata["packages"].as_array().ok_or(Unclear::Unreadable)?;
    let meant = packages.iter().find(|package| manifest_of(package).as_deref() == Some(manifest));
    let candidates: Vec<&Value> = meant.map_or_else(|| packages.iter().collect(), |package| vec![package]);
    let cdylibs: Vec<&Value> = candidates.iter().copied().filter(|package| has_cdylib(package)).collect();
    match cdylibs[..] {
        [package] => Ok(Package { name: text(&package["name"]), id: text(&package["id"]) }),
        [] => Err(Unclear::NoCdylib {
            packages: candidates.iter().map(|package| text(&package["name"])).collect(),
        }),
        _ => Err(Unclear::SeveralCdylibs { packages: cdylibs.into_iter().map(name_and_folder).collect() }),
    }
}

/// The module of the package `id`, if this line of `cargo build --message-format=json` tells of it.
pub(crate) fn module_in(line: &str, id: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_ours = message["reason"] == "compiler-artifact" && message["package_id"] == id;
    if !is_ours || !is_cdylib(&message["target"]) {
        return None;
    }
    let files = message["filenames"].as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

fn has_cdylib(package: &Value) -> bool {
    package["targets"].as_array().is_some_and(|targets| targets.iter().any(is_cdylib))
}

/// An example can be one, too, but a workflow is the crate's library.
fn is_cdylib(target: &Value) -> bool {
    let has = |key: &str, wanted: &str| {
        target[key].as_array().is_some_and(|values| values.iter().any(|value| value == wanted))
    };
    has("crate_types", "cdylib") && !has("kind", "example")
}

fn manifest_of(package: &Value) -> Option<PathBuf> {
    package["manifest_path"].as_str().map(PathBuf::from)
}

fn name_and_folder(package: &Value) -> (String, PathBuf) {
    let folder = manifest_of(package).and_then(|manifest| manifest.parent().map(Path::to_owned));
    (text(&package["name"]), folder.unwrap_or_default())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, kind: &str, crate_type: &str) -> Value {
        json!({
            "name": name,
            "id": format!("path+file:///w/{name}#0.1.0"),
            "manifest_path": format!("/w/{name}/Cargo.toml"),
            "targets": [{ "kind": [kind], "crate_types": [crate_type], "name": name }],
        })
    }

    fn chosen(packages: &[Value], manifest: &str) -> Result<String, Unclear> {
        let metadata = json!({ "packages": packages }).to_string();
        select(&metadata, Path::new(manifest)).map(|package| package.name)
    }

    #[test]
    fn a_path_means_the_package_with_this_manifest() {
        let packages = [package("payment", "cdylib", "cdylib"), package("onboarding", "cdylib", "cdylib")];
        assert_eq!(chosen(&packages, "/w/onboarding/Cargo.toml"), Ok("onboarding".to_owned()));
    }

    #[test]
    fn a_workspace_means_its_only_workflow_crate() {
        let packages = [package("shared", "lib", "lib"), package("payment", "cdylib", "cdylib")];
        assert_eq!(chosen(&packages, "/w/Cargo.toml"), Ok("payment".to_owned()));
    }

    #[test]
    fn a_workspace_with_several_workflow_crates_is_unclear() {
        let packages = [package("a", "cdylib", "cdylib"), package("b", "cdylib", "cdylib")];
        let listed = vec![("a".to_owned(), "/w/a".into()), ("b".to_owned(), "/w/b".into())];
        assert_eq!(chosen(&packages, "/w/Cargo.toml"), Err(Unclear::SeveralCdylibs { packages: listed }));
    }

    #[test]
    fn a_package_that_makes_no_dynamic_library_is_no_workflow_crate() {
        for other in
            [package("x", "lib", "rlib"), package("x", "bin", "bin"), package("x", "example", "cdylib")]
        {
            let none = Unclear::NoCdylib { packages: vec!["x".to_owned()] };
            assert_eq!(chosen(&[other], "/w/x/Cargo.toml"), Err(none));
        }
    }

    #[test]
    fn an_answer_of_another_form_is_no_panic() {
        assert_eq!(select("", Path::new("/w")), Err(Unclear::Unreadable));
        assert_eq!(select("[1]", Path::new("/w")), Err(Unclear::Unreadable));
    }

    #[test]
    fn the_module_is_the_one_of_our_package() {
        let line = |id: &str, crate_type: &str| {
            json!({
                "reason": "compiler-artifact",
                "package_id": id,
                "target": { "kind": [crate_type], "crate_types": [crate_type] },
                "filenames": ["/t/x.d", "/t/x.wasm"],
            })
            .to_string()
        };
        assert_eq!(module_in(&line("ours", "cdylib"), "ours"), Some("/t/x.wasm".into()));
        assert_eq!(module_in(&line("a dependency", "cdylib"), "ours"), None);
        assert_eq!(module_in(&line("ours", "bin"), "ours"), None);
        assert_eq!(module_in("warning: not json", "ours"), None);
    }
}
