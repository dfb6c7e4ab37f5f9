use std::fmt;
use std::str::FromStr;

/// The user for the compiler process of a host that runs as root, if the operator names none.
const NOBODY: &str = "nobody";

/// The usual id of `nobody`, for a machine without a list of users.
const NOBODY_ID: u32 = 65_534;

/// The user and group as which the compiler process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompilerUser {
    /// The id of the user.
    pub user: u32,
    /// The id of the group.
    pub group: u32,
}

impl CompilerUser {
    /// Returns `nobody` if this process runs as root. Another user cannot change to a user of its own.
    pub fn default_for_this_process() -> Option<Self> {
        #[cfg(unix)]
        if rustix::process::geteuid().is_root() {
            return Some(NOBODY.parse().unwrap_or(Self { user: NOBODY_ID, group: NOBODY_ID }));
        }
        None
    }
}

/// Parses `USER`, which is looked up in `/etc/passwd`, or `UID:GID`.
impl FromStr for CompilerUser {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ids =
            |user: &str, group: &str| Some(Self { user: user.parse().ok()?, group: group.parse().ok()? });
        let found = match text.split_once(':') {
            Some((user, group)) => ids(user, group).ok_or_else(|| format!("`{text}` is not UID:GID"))?,
            None => {
                let users = std::fs::read_to_string("/etc/passwd")
                    .map_err(|error| format!("cannot look up user `{text}` in /etc/passwd: {error}"))?;
                let of = |line: &str| {
                    let fields: Vec<&str> = line.split(':').collect();
                    match fields[..] {
                        [name, _, user, group, ..] if name == text => ids(user, group),
                        _ => None,
                    }
                };
                users
                    .lines()
                    .find_map(of)
                    .ok_or_else(|| format!("there is no user `{text}`; use a name or UID:GID"))?
            }
        };
        if found.user == 0 || found.group == 0 {
            return Err("compiling as root is what this is to avoid: name another user and group".to_owned());
        }
        Ok(found)
    }
}

impl fmt::Display for CompilerUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_two_numbers_and_is_not_root() {
        assert_eq!("1000:100".parse(), Ok(CompilerUser { user: 1_000, group: 100 }));
        assert_eq!("1000:100".parse::<CompilerUser>().unwrap().to_string(), "1000:100");
        for wrong in ["0:0", "root", "1000:0", "a:b", "no such user", ""] {
            assert!(wrong.parse::<CompilerUser>().is_err(), "{wrong}");
        }
    }
}
