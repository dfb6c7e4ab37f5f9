//! The package that a path means, and its module: reading what `cargo metadata` and `cargo build` print.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::BuildError;

/// The package to compile.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Its name in its manifest.
    pub(crate) name: String,
    /// Its id in cargo's messages and for `--package`.
    pub(crate) id: String,
}

/// Returns the workflow crate with this manifest or, if the manifest is a workspace's, the only workflow crate in the
/// workspace.
pub(crate) fn select(metadata: &str, manifest: &Path) -> Result<Package, BuildError> {
    let unreadable = || BuildError::Unreadable { manifest: manifest.to_owned() };
    let metadata: Value = serde_json::from_str(metadata).map_err(|_| unreadable())?;
    let packages = metadata["packages"].as_array().ok_or_else(unreadable)?;
    let meant = packages.iter().find(|package| manifest_of(package).as_deref() == Some(manifest));
    let candidates: Vec<&Value> = meant.map_or_else(|| packages.iter().collect(), |package| vec![package]);
    let cdylibs: Vec<&Value> = candidates.iter().copied().filter(|package| has_cdylib(package)).collect();
    match cdylibs[..] {
        [package] => Ok(Package { name: text(&package["name"]), id: text(&package["id"]) }),
        [] => Err(BuildError::NoCdylib {
            packages: candidates.iter().map(|package| text(&package["name"])).collect(),
        }),
        _ => Err(BuildError::SeveralCdylibs { packages: cdylibs.into_iter().map(name_and_folder).collect() }),
    }
}

/// Returns the module of the package `id`, if this line of `cargo build --message-format=json` reports it.
pub(crate) fn module_in(line: &str, id: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_artifact = message["reason"] == "compiler-artifact" && message["package_id"] == id;
    if !is_artifact || !is_cdylib(&message["target"]) {
        return None;
    }
    let files = message["filenames"].as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

fn has_cdylib(package: &Value) -> bool {
    package["targets"].as_array().is_some_and(|targets| targets.iter().any(is_cdylib))
}

/// Returns whether a target is a dynamic library and no example: a workflow is the crate's library.
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

    fn chosen(packages: &[Value], manifest: &str) -> Result<String, BuildError> {
        let metadata = json!({ "packages": packages }).to_string();
        select(&metadata, Path::new(manifest)).map(|package| package.name)
    }

    #[test]
    fn a_path_means_the_package_with_this_manifest() {
        let packages = [package("payment", "cdylib", "cdylib"), package("onboarding", "cdylib", "cdylib")];
        assert_eq!(chosen(&packages, "/w/onboarding/Cargo.toml").unwrap(), "onboarding");
    }

    #[test]
    fn a_workspace_means_its_only_workflow_crate() {
        let packages = [package("shared", "lib", "lib"), package("payment", "cdylib", "cdylib")];
        assert_eq!(chosen(&packages, "/w/Cargo.toml").unwrap(), "payment");
    }

    #[test]
    fn a_workspace_with_several_workflow_crates_is_unclear() {
        let packages = [package("a", "cdylib", "cdylib"), package("b", "cdylib", "cdylib")];
        let listed: [(String, PathBuf); 2] =
            [("a".to_owned(), "/w/a".into()), ("b".to_owned(), "/w/b".into())];
        let error = chosen(&packages, "/w/Cargo.toml").unwrap_err();
        assert!(matches!(&error, BuildError::SeveralCdylibs { packages } if *packages == listed), "{error}");
    }

    #[test]
    fn a_package_that_makes_no_dynamic_library_is_no_workflow_crate() {
        for other in
            [package("x", "lib", "rlib"), package("x", "bin", "bin"), package("x", "example", "cdylib")]
        {
            let error = chosen(&[other], "/w/x/Cargo.toml").unwrap_err();
            assert!(matches!(&error, BuildError::NoCdylib { packages } if *packages == ["x"]), "{error}");
        }
    }

    #[test]
    fn an_answer_of_another_form_is_no_panic() {
        for answer in ["", "[1]"] {
            assert!(matches!(select(answer, Path::new("/w")), Err(BuildError::Unreadable { .. })));
        }
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
