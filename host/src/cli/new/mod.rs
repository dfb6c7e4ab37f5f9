mod name;
mod sdk;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{CliError, Context, output};
use name::Name;

/// The arguments of `forge new`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The project's name, or the path of the folder to make; its last part is the name.
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// Use the SDK in this folder (guest-sdk/ of Forge's repository) instead of a copy in the project.
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Makes a folder with a small workflow, its tests, and the SDK: nothing else is needed to compile it.

Examples:
  forge new hello
  cd hello && cargo test && forge deploy";

/// The files of a project. In their text `{{name}}`, `{{workflow}}` and `{{structure}}` are replaced.
const TEMPLATE: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("input.json", include_str!("template/input.json")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", include_str!("template/gitignore")),
];

pub(super) fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let name = make(&args)?;
    if context.json {
        let project = json!({ "name": name.package(), "path": args.path, "workflow": name.workflow() });
        return output::print_json(&project);
    }
    output::print(&format!("created {}", args.path.display()))?;
    output::hint(&format!(
        "\n  cd {}\n  cargo test\n  forge deploy        # with `forge serve` in another terminal\n  \
         forge start {} --input @input.json --wait",
        args.path.display(),
        name.workflow()
    ));
    Ok(())
}

fn make(args: &Args) -> Result<Name, CliError> {
    let name = Name::of_project(&args.path).map_err(CliError::Usage)?;
    refuse_to_overwrite(&args.path)?;
    let sdk = match &args.sdk {
        Some(folder) => Sdk::Elsewhere(existing_sdk(folder)?),
        None => Sdk::Copied,
    };
    create(&args.path, &name, &sdk)?;
    Ok(name)
}

/// Where a project has its SDK from.
enum Sdk {
    /// From a copy inside of the project.
    Copied,
    /// From this folder.
    Elsewhere(PathBuf),
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

fn create(project: &Path, name: &Name, sdk: &Sdk) -> anyhow::Result<()> {
    let sdk_path = match sdk {
        Sdk::Copied => ".forge/forge".to_owned(),
        Sdk::Elsewhere(folder) => folder.display().to_string(),
    };
    for (file, text) in TEMPLATE {
        let text = name.fill(text).replace("{{sdk}}", &toml_string(&sdk_path));
        write(&project.join(file), &text)?;
    }
    if let Sdk::Copied = sdk {
        for (file, text) in sdk::FILES {
            write(&project.join(".forge").join(file), text)?;
        }
    }
    Ok(())
}

/// A TOML string: what needs escapes there needs the same ones in JSON.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(path: PathBuf) -> Result<Name, CliError> {
        make(&Args { path, sdk: None })
    }

    #[test]
    fn a_project_has_all_that_it_needs() {
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
    fn an_empty_folder_may_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("hello");
        fs::create_dir(&project).unwrap();
        new(project).unwrap();
    }
}
