use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where runs, journals and components are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file, created if it is not there. One host process at a time.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which any number of hosts can share.
    Postgres(PostgresUrl),
}

/// A database URL that Forge does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no database that Forge knows: use sqlite:PATH, for example sqlite:forge.db, or \
     postgres://USER@HOST/NAME"
)]
pub struct InvalidDatabase(pub String);

impl FromStr for Database {
    type Err = InvalidDatabase;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Ok(Self::Postgres(PostgresUrl(url.to_owned())));
        }
        let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path {
            Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self::Sqlite(path.into())),
            _ => Err(InvalidDatabase(url.to_owned())),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// The URL of a PostgreSQL database, with what libpq allows in it (`sslmode`, `sslrootcert` and so on).
/// Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// The whole URL, with its password.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

/// What takes the place of a password.
const HIDDEN: &str = "***";

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
        match rest.rsplit_once('@') {
            Some((user, host)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                let hidden = if password.is_empty() { String::new() } else { format!(":{HIDDEN}") };
                write!(f, "{scheme}://{name}{hidden}@{host}")?;
            }
            None => write!(f, "{scheme}://{rest}")?,
        }
        for (number, option) in query.split('&').filter(|option| !option.is_empty()).enumerate() {
            let separator = if number == 0 { '?' } else { '&' };
            let is_secret = option.split_once('=').is_some_and(|(name, _)| name.contains("password"));
            let name = option.split('=').next().unwrap_or_default();
            if is_secret {
                write!(f, "{separator}{name}={HIDDEN}")?;
            } else {
                write!(f, "{separator}{option}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_file_or_a_server() {
        let database = |url: &str| url.parse::<Database>().map(|database| database.to_string());
        assert_eq!(database("sqlite:forge.db").unwrap(), "sqlite:forge.db");
        assert_eq!(database("sqlite:///var/forge.db").unwrap(), "sqlite:/var/forge.db");
        assert_eq!(database("postgresql://db/forge").unwrap(), "postgresql://db/forge");
        for wrong in ["forge.db", "sqlite:", "sqlite::memory:", "mysql://db/forge", ""] {
            assert!(
                database(wrong).unwrap_err().to_string().contains("postgres://USER@HOST/NAME"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgres://forge:p@ss:w%20rd@db:5432/forge?sslmode=require&password=x&sslpassword=y";
        let database: Database = url.parse().unwrap();
        let shown = "postgres://forge:***@db:5432/forge?sslmode=require&password=***&sslpassword=***";
        assert_eq!(database.to_string(), shown);
        assert!(!format!("{database:?}").contains("ss:w"));
        let Database::Postgres(url) = database else { panic!("it is a server") };
        assert!(url.secret().contains("p@ss"));
    }
}
