//! Checks of what a component declares about its workflows.

use std::collections::BTreeSet;

use crate::config::{LONGEST_WORKFLOW_NAME, is_workflow_name};
use forge_sandbox::{Described, InvalidComponent};

/// Checks the names, versions and timeouts of a component's workflows.
pub(super) fn check(described: &[Described]) -> Result<(), InvalidComponent> {
    let invalid = |text: String| Err(InvalidComponent(text));
    if described.is_empty() {
        return invalid("the component has no workflows: list them in `forge::export!(...)`".to_owned());
    }
    let mut seen = BTreeSet::new();
    for Described { name, version, timeout_ms, .. } in described {
        if !is_workflow_name(name) {
            let name = &name[..name.floor_char_boundary(LONGEST_WORKFLOW_NAME)];
            return invalid(format!(
                "`{name}` is not a valid name for a workflow: use 1 to {LONGEST_WORKFLOW_NAME} letters, digits, `_`, `-` and `.`, and \
                 begin with a letter"
            ));
        }
        if *version == 0 {
            return invalid(format!("workflow `{name}` has version 0: versions begin at 1"));
        }
        if *timeout_ms == 0 {
            return invalid(format!("workflow `{name}` has a timeout of 0: set a longer timeout"));
        }
        if !seen.insert((name, version)) {
            return invalid(format!(
                "the component has version {version} of workflow `{name}` twice: change the name or version of one"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_says_of_itself_must_be_usable() {
        let one = |name: &str, version, timeout_ms| Described {
            name: name.to_owned(),
            version,
            timeout_ms,
            deprecated: false,
            input_schema: None,
        };
        let refused = |described: &[Described]| check(described).unwrap_err().0;
        assert!(check(&[one("a", 1, 5), one("a", 2, 5), one("b.c-d_e", 1, 5)]).is_ok());
        assert!(refused(&[]).contains("no workflows"));
        assert!(refused(&[one("a", 1, 5), one("a", 1, 5)]).contains("version 1 of workflow `a` twice"));
        assert!(refused(&[one("1a", 1, 5)]).contains("not a valid name for a workflow"));
        assert!(refused(&[one("a/b", 1, 5)]).contains("not a valid name for a workflow"));
        assert!(refused(&[one("a", 0, 5)]).contains("versions begin at 1"));
        assert!(refused(&[one("a", 1, 0)]).contains("timeout of 0"));
    }
}
