/// The length of the longest workflow name in bytes: the size of the specification's column.
pub(crate) const LONGEST_WORKFLOW_NAME: usize = 255;

/// Returns whether a workflow can have this name: letters, digits, `_`, `-` and `.`, with a letter first.
pub(crate) fn is_workflow_name(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let fits = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
    begins && fits && name.len() <= LONGEST_WORKFLOW_NAME
}
