use super::TenantError;

/// The length of the longest name: enough for a UUID and a prefix.
const LONGEST: usize = 63;

/// Checks that `name` is a valid name for a tenant. Names are used in paths, headers and logs.
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
