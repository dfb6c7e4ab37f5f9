mod name;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{CliError, Context, output};
use name::Name;

/// The arguments of `forge new`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The name of the project, or the path of its folder, whose last part is the name.
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// Use the SDK in this folder (guest-sdk/ of Forge's repository) instead of a copy in the project.
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Creates a folder with a small workflow, its tests, and a copy of the SDK.

Examples:
  forge new hello
  cd hello && cargo test && forge dev";

/// The files of a project. `{{name}}`, `{{workflow}}`, `{{structure}}` and `{{sdk}}` are placeholders.
const TEMPLATE: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("input.json", include_str!("template/input.json")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", include_str!("template/gitignore")),
];

/// The source files of the SDK, which the build script lists: paths below `.forge/`, and contents.
const SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

pub(super) fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let name = create(&args)?;
    let path = args.path.display();
    let project = json!({ "name": name.package(), "path": args.path, "workflow": name.workflow() });
    context.print(&project, |_| format!("created {path}"))?;
    context.hint(&format!(
        "\n  cd {path}\n  cargo test        # without a server\n  forge dev         # run it, and again whenever a file is saved\n\n\
         README.md has the other commands",
    ));
    Ok(())
}

fn create(args: &Args) -> Result<Name, CliError> {
    let name = Name::of_project(&args.path).map_err(CliError::Usage)?;
    refuse_to_overwrite(&args.path)?;
    let sdk = match &args.sdk {
        Some(folder) => existing_sdk(folder)?.display().to_string(),
        None => ".forge/forge".to_owned(),
    };
    for (file, text) in TEMPLATE {
        // A TOML string needs the same escapes as a JSON string.
        let text = name.fill(text).replace("{{sdk}}", &Value::from(sdk.as_str()).to_string());
        output::write_file(&args.path.join(file), text)?;
    }
    if args.sdk.is_none() {
        for (file, text) in SDK {
            output::write_file(&args.path.join(".forge").join(file), text)?;
        }
    }
    Ok(name)
}

fn refuse_to_overwrite(folder: &Path) -> anyhow::Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => bail!("{} exists and is not empty; choose another name", folder.display()),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot use {}", folder.display())),
    }
}

fn existing_sdk(folder: &Path) -> anyhow::Result<PathBuf> {
    if !folder.join("Cargo.toml").is_file() {
        bail!("there is no SDK in {}: it has no Cargo.toml", folder.display());
    }
    folder.canonicalize().with_context(|| format!("cannot use {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(path: PathBuf) -> Result<Name, CliError> {
        create(&Args { path, sdk: None })
    }

    #[test]
    fn a_project_contains_its_workflow_and_the_sdk() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("book-table");
        new(project.clone()).unwrap();
        let read = |file: &str| fs::read_to_string(project.join(file)).unwrap();
        assert!(read("Cargo.toml").contains("name = \"book-table\""));
        assert!(read("Cargo.toml").contains("forge = { path = \".forge/forge\" }"));
        assert!(read("src/lib.rs").contains("pub async fn book_table("));
        assert!(read("src/lib.rs").contains("forge::export!(BookTableWorkflow);"));
        assert!(read(".forge/forge/Cargo.toml").contains("name = \"forge\""));
        assert!(read(".forge/forge/macros/Cargo.toml").contains("name = \"forge-macros\""));
        assert!(read(".forge/wit/workflow.wit").contains("package forge:workflow"));
        for (file, _) in TEMPLATE {
            assert!(!read(file).contains("{{"), "{file}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("hello");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("thesis.txt"), "years of work").unwrap();
        let error = new(project.clone()).unwrap_err().to_string();
        assert!(error.ends_with("exists and is not empty; choose another name"), "{error}");
        assert_eq!(fs::read_dir(&project).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_folder_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("hello");
        fs::create_dir(&project).unwrap();
        new(project).unwrap();
    }
}
