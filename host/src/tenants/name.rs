use super::TenantError;

/// Letters of a name: enough for a UUID with a word before it.
const LONGEST: usize = 63;

/// Checks that a text can be a tenant's name: it is in paths, headers and logs.
///
/// # Errors
/// [`TenantError::InvalidName`].
pub fn check(name: &str) -> Result<(), TenantError> {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let fits =
        name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    if begins && fits && name.len() <= LONGEST {
        return Ok(());
    }
    Err(TenantError::InvalidName(name.chars().take(LONGEST).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_lower_case_letters_digits_and_hyphens() {
        for right in ["acme", "a", "0-1", "default", &"a".repeat(63)] {
            assert!(check(right).is_ok(), "{right}");
        }
        for wrong in ["", "-a", "Acme", "a/b", "a b", "ä", "a_b", "a.b", &"a".repeat(64)] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
