//! The tenants' store.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use forge_journal::db::{Change, Entry, State, Stored, Totals, Transaction};
use forge_journal::{Document, Outcome, TenantId};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::commit::CommitError;
use super::connection::{Connection, Connections};
use super::decode::Columns;
use super::text;
use crate::db::{in_range, named_keys};
use crate::{DbFilter, DbPage, StoreError};

const TABLE: &str = "forge_db";

/// Locks the totals of tenants until the transaction ends, in the order of the tenants, and returns them. A statement that
/// begins after it sees what other nodes have committed for these tenants.
const LOCK: &str = "INSERT INTO forge_db_totals AS total (tenant) SELECT unnest($1::TEXT[]) \
     ON CONFLICT (tenant) DO UPDATE SET version = total.version \
     RETURNING tenant, version, entries, bytes";

const STORED: &str = "SELECT place, version, octet_length(value)::BIGINT \
     FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS wanted (tenant, key, place) \
     JOIN forge_db USING (tenant, key)";

/// `$1` to `$5` are the entries that are put, `$6` and `$7` the keys that are deleted, `$8` to `$11` the totals.
const WRITE: &str = "WITH put AS ( \
         INSERT INTO forge_db (tenant, key, version, value, updated_at) \
         SELECT unnest($1::TEXT[]), unnest($2::TEXT[]), unnest($3::BIGINT[]), unnest($4::TEXT[]), unnest($5::BIGINT[]) \
         ON CONFLICT (tenant, key) DO UPDATE SET version = excluded.version, value = excluded.value, \
             updated_at = excluded.updated_at \
     ), deleted AS ( \
         DELETE FROM forge_db USING unnest($6::TEXT[], $7::TEXT[]) AS gone (tenant, key) \
         WHERE forge_db.tenant = gone.tenant AND forge_db.key = gone.key \
     ) UPDATE forge_db_totals AS total SET version = next.version, entries = next.entries, bytes = next.bytes \
     FROM unnest($8::TEXT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[]) AS next (tenant, version, entries, bytes) \
     WHERE total.tenant = next.tenant";

const TOTALS: &str = "SELECT tenant, version, entries, bytes FROM forge_db_totals WHERE tenant = $1";

const ENTRY: &str = "SELECT key, version, value FROM forge_db WHERE tenant = $1 AND key = $2";

/// Returns the statement for a page. `$1` is the tenant, `$2` where the keys begin, `$3` the limit, `$4` the most bytes, and
/// `$5` where the keys end, if they do. One entry more than the limit tells whether there are later ones.
fn page_sql(is_from_included: bool, has_end: bool) -> String {
    let keys = in_range(is_from_included, has_end, "$2", "$5");
    format!(
        "SELECT key, version, value, found FROM ( \
             SELECT key, version, value, count(*) OVER () AS found, row_number() OVER keys AS number, \
                 sum(octet_length(key) + octet_length(value)) OVER keys AS bytes \
             FROM (SELECT key, version, value FROM forge_db WHERE tenant = $1 AND {keys} ORDER BY key LIMIT $3 + 1) AS entries \
             WINDOW keys AS (ORDER BY key) \
         ) AS page WHERE number <= $3 AND (number = 1 OR bytes <= $4) ORDER BY key"
    )
}

/// Performs transactions in their order, in the transaction of the connection, and returns their outcomes.
pub(super) async fn perform(
    connection: &mut Connection,
    transactions: &[&Transaction],
) -> Result<Vec<Outcome>, CommitError> {
    let named = named_keys(transactions);
    let tenants: Vec<_> = named.keys().map(|tenant| text::encode(tenant)).collect();
    let mut totals = HashMap::new();
    for row in connection.all(sqlx::query(LOCK).bind(tenants)).await? {
        let (tenant, of_tenant) = decode_totals(&row)?;
        totals.insert(tenant, of_tenant);
    }
    let keys: Vec<(&TenantId, &str)> =
        named.iter().flat_map(|(tenant, keys)| keys.iter().map(|key| (*tenant, *key))).collect();
    let of_tenants: Vec<_> = keys.iter().map(|(tenant, _)| text::encode(tenant)).collect();
    let names: Vec<_> = keys.iter().map(|(_, key)| text::encode(key)).collect();
    let mut found: HashMap<&TenantId, Vec<(String, Stored)>> = HashMap::new();
    for row in connection.all(sqlx::query(STORED).bind(of_tenants).bind(names)).await? {
        let mut columns = Columns::new(TABLE, &row);
        let place = columns.number::<usize>()?;
        let stored = Stored { version: columns.bits()?, value_bytes: columns.bits()? };
        if let Some((tenant, key)) = keys.get(place.saturating_sub(1)) {
            found.entry(tenant).or_default().push(((*key).to_owned(), stored));
        }
    }
    let mut states = BTreeMap::new();
    for tenant in named.into_keys() {
        let totals = totals.get(&**tenant).copied().unwrap_or_default();
        states.insert(tenant, State::new(totals, found.remove(tenant).unwrap_or_default()));
    }
    let mut outcomes = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let state = states.get_mut(&transaction.tenant);
        outcomes.extend(state.map(|state| state.apply(transaction)));
    }
    write(connection, &states).await?;
    Ok(outcomes)
}

async fn write(connection: &mut Connection, states: &BTreeMap<&TenantId, State>) -> Result<(), CommitError> {
    let changed = states.iter().filter(|(_, state)| !state.changes().is_empty());
    let (mut put, mut deleted, mut totals) = (Puts::default(), Keys::default(), NewTotals::default());
    for (tenant, state) in changed {
        for (key, change) in state.changes() {
            match change {
                Change::Put { version, value, at } => {
                    put.keys.add(tenant, key);
                    put.versions.push(version.cast_signed());
                    put.values.push(&**value.text());
                    put.times.push(at.0);
                }
                Change::Delete => deleted.add(tenant, key),
            }
        }
        totals.tenants.push(text::encode(tenant));
        let Totals { version, entries, bytes } = *state.totals();
        totals
            .numbers
            .iter_mut()
            .zip([version, entries, bytes])
            .for_each(|(all, one)| all.push(one.cast_signed()));
    }
    if totals.tenants.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(WRITE).bind(put.keys.tenants).bind(put.keys.keys);
    let query = query.bind(put.versions).bind(put.values).bind(put.times);
    let query = query.bind(deleted.tenants).bind(deleted.keys).bind(totals.tenants);
    let query = totals.numbers.into_iter().fold(query, |query, numbers| query.bind(numbers));
    connection.all(query).await?;
    Ok(())
}

/// Keys as arrays for a statement.
#[derive(Default)]
struct Keys<'s> {
    tenants: Vec<Cow<'s, str>>,
    keys: Vec<Cow<'s, str>>,
}

impl<'s> Keys<'s> {
    fn add(&mut self, tenant: &'s str, key: &'s str) {
        self.tenants.push(text::encode(tenant));
        self.keys.push(text::encode(key));
    }
}

/// Entries as arrays for a statement.
#[derive(Default)]
struct Puts<'s> {
    keys: Keys<'s>,
    versions: Vec<i64>,
    values: Vec<&'s str>,
    times: Vec<i64>,
}

/// Totals as arrays for a statement.
#[derive(Default)]
struct NewTotals<'s> {
    tenants: Vec<Cow<'s, str>>,
    /// Versions, entries and bytes.
    numbers: [Vec<i64>; 3],
}

fn decode_totals(row: &PgRow) -> Result<(String, Totals), StoreError> {
    let mut columns = Columns::new("forge_db_totals", row);
    let tenant = columns.string()?;
    Ok((tenant, Totals { version: columns.bits()?, entries: columns.bits()?, bytes: columns.bits()? }))
}

pub(super) async fn totals(readers: &Connections, tenant: &str) -> Result<Totals, StoreError> {
    let tenant = text::encode(tenant);
    let row = readers.first(|| sqlx::query(TOTALS).bind(&*tenant)).await?;
    Ok(row.map(|row| decode_totals(&row)).transpose()?.map_or_else(Totals::default, |(_, totals)| totals))
}

fn decode(row: &PgRow) -> Result<Entry, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    let (key, version) = (columns.string()?, columns.bits()?);
    Ok(Entry { key, version, value: Document::stored(columns.text()?) })
}

pub(super) async fn entry(
    readers: &Connections,
    tenant: &str,
    key: &str,
) -> Result<Option<Entry>, StoreError> {
    let [tenant, key] = [tenant, key].map(text::encode);
    let row = readers.first(|| sqlx::query(ENTRY).bind(&*tenant).bind(&*key)).await?;
    row.map(|row| decode(&row)).transpose()
}

pub(super) async fn entries(
    readers: &Connections,
    tenant: &str,
    filter: &DbFilter,
) -> Result<DbPage, StoreError> {
    let range = filter.range();
    let sql = page_sql(range.is_from_included, range.before.is_some());
    let (tenant, from) = (text::encode(tenant), text::encode(range.from));
    let before = range.before.as_deref().map(text::encode);
    let bytes = i64::try_from(filter.bytes).unwrap_or(i64::MAX);
    let query = || {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(&*tenant).bind(&*from);
        let query = query.bind(i64::from(filter.limit)).bind(bytes);
        before.iter().fold(query, |query, before| query.bind(&**before))
    };
    let rows = readers.all(query).await?;
    let entries = rows.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    let found: i64 = match rows.first() {
        Some(row) => sqlx::Row::try_get(row, "found").map_err(super::error::QueryError::from)?,
        None => 0,
    };
    Ok(DbPage { has_more: found > i64::try_from(entries.len()).unwrap_or(i64::MAX), entries })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plans;
    use super::*;

    #[tokio::test]
    async fn every_read_of_the_store_is_a_search_by_key() {
        let mut plans = Plans::of_many_runs().await;
        plans.fill_db().await;
        for analyzed in [false, true] {
            if analyzed {
                plans.analyze().await;
            }
            let by_key = "Index Cond: ((tenant = $1) AND (key ";
            let mut statements = vec![(ENTRY.to_owned(), "'acme', 'k1'")];
            for (is_from_included, has_end) in [(true, true), (false, true), (true, false), (false, false)] {
                let arguments =
                    if has_end { "'acme', 'k1', 100, 100, 'k2'" } else { "'acme', 'k1', 100, 100" };
                statements.push((page_sql(is_from_included, has_end), arguments));
            }
            for (sql, arguments) in statements {
                let plan = plans.plan(&sql, arguments).await;
                assert!(plan.iter().any(|line| line.starts_with(by_key)), "{sql}: {plan:#?}");
                assert!(
                    !plan.iter().any(|line| line.contains("Seq Scan") || line == "Sort"),
                    "{sql}: {plan:#?}"
                );
            }
            let is_by_key =
                |line: &String| line.starts_with("Index Cond: ((tenant = ") && line.contains("(key = ");
            let plan = plans.plan(STORED, "'{acme}', '{k1}'").await;
            assert!(plan.iter().any(is_by_key), "{plan:#?}");
            let write =
                "'{acme}', '{k1}', '{1}', '{1}', '{1}', '{acme}', '{k2}', '{acme}', '{1}', '{1}', '{1}'";
            let plan = plans.plan(WRITE, write).await;
            assert!(plan.iter().any(is_by_key), "{plan:#?}");
            assert!(plan.iter().any(|line| line.starts_with("Index Cond: (tenant = ")), "{plan:#?}");
        }
    }
}
