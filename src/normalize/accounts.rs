//! What is known of accounts: a table that somebody keeps, in TOML or CSV.
//!
//! TOML: a table for each account, `["111122223333"]`, with texts, numbers and truth values. CSV: a header line, in which
//! one column is called `account_id`, and a line for each account (RFC 4180; `#` begins a comment line). `name` becomes
//! `cloud.account.name`; the whole of it becomes `data` of an element of `enrichments`, which is OCSF's place for what did
//! not come from the event: `name` and `value` say what was looked up, `data` what was found.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

/// The column that holds the account's id.
const ID: &str = "account_id";

/// The column that becomes `cloud.account.name`.
const NAME: &str = "name";

/// What is known of accounts.
#[derive(Clone, Debug, Default)]
pub struct Accounts(HashMap<Box<str>, AccountFacts>);

/// What is known of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFacts {
    /// Its name.
    pub(super) name: Option<String>,
    /// The element of `enrichments`, rendered.
    pub(super) enrichment: Vec<u8>,
    /// What is added to `metadata.labels`: `column:value`.
    pub(super) labels: Vec<String>,
}

/// A table that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {words}")]
pub struct AccountsError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and the remedy.
    pub words: String,
}

impl Accounts {
    /// Reads a table in TOML. The columns `labels` become labels too.
    ///
    /// # Errors
    ///
    /// With the first mistake.
    pub fn of_toml(text: &str, labels: &[String]) -> Result<Self, AccountsError> {
        let table: BTreeMap<String, BTreeMap<String, Value>> = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            let words = error.message().replace('\n', " ");
            AccountsError { line, words: format!("{words}: an account is a table, [\"111122223333\"]") }
        })?;
        let mut accounts = HashMap::new();
        for (id, columns) in table {
            let line =
                text.lines().position(|line| line.contains(id.as_str())).map_or(1, |line| line.saturating_add(1));
            check_id(&id, line)?;
            if let Some((column, _)) = columns.iter().find(|(_, value)| value.is_array() || value.is_object()) {
                let words =
                    format!("`{column}` of account {id} is a list or a table: write a text, a number or a truth value");
                return Err(AccountsError { line, words });
            }
            let facts = AccountFacts::new(&id, &columns, labels);
            accounts.insert(id.into(), facts);
        }
        Ok(Self(accounts))
    }

    /// Reads a table in CSV. The columns `labels` become labels too.
    ///
    /// # Errors
    ///
    /// With the first mistake.
    pub fn of_csv(text: &str, labels: &[String]) -> Result<Self, AccountsError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut records = Records { rest: text, line: 1 };
        let (line, header) = records.next().unwrap_or((1, Vec::new()));
        let header: Vec<String> = header.iter().map(|column| column.trim().to_owned()).collect();
        let Some(id_column) = header.iter().position(|column| column == ID) else {
            let words = format!("the first line names the columns, and none of them is `{ID}`");
            return Err(AccountsError { line, words });
        };
        let mut accounts = HashMap::new();
        for (line, cells) in records {
            if cells.len() != header.len() {
                let words = format!("{} cells, where the first line names {} columns", cells.len(), header.len());
                return Err(AccountsError { line, words });
            }
            let id = cells.get(id_column).map(|id| id.trim().to_owned()).unwrap_or_default();
            check_id(&id, line)?;
            let known = header.iter().zip(&cells).filter(|(column, cell)| *column != ID && !cell.trim().is_empty());
            let columns = known.map(|(column, cell)| (column.clone(), Value::from(cell.trim()))).collect();
            let facts = AccountFacts::new(&id, &columns, labels);
            if accounts.insert(id.clone().into(), facts).is_some() {
                return Err(AccountsError { line, words: format!("account {id} stands there twice") });
            }
        }
        Ok(Self(accounts))
    }

    /// What is known of the account of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&AccountFacts> {
        if id.is_empty() { None } else { self.0.get(id) }
    }

    /// How many accounts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check_id(id: &str, line: usize) -> Result<(), AccountsError> {
    if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    let words =
        format!("`{id}` is no account id: twelve digits, zeros at the beginning included (a text, not a number)");
    Err(AccountsError { line, words })
}

impl AccountFacts {
    fn new(id: &str, columns: &BTreeMap<String, Value>, labels: &[String]) -> Self {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = columns.get(NAME).map(text);
        let labels =
            labels.iter().filter_map(|column| Some(format!("{column}:{}", text(columns.get(column)?)))).collect();
        let enrichment = json!({ "name": "cloud.account.uid", "value": id, "type": "account", "data": columns });
        Self { name, enrichment: enrichment.to_string().into_bytes(), labels }
    }
}

/// The records of a CSV text, each with the number of its first line. Empty lines and comments are none.
struct Records<'t> {
    rest: &'t str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Vec<String>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            let is_comment = self.rest.starts_with('#');
            let cells = self.record();
            let is_empty = cells.iter().all(|cell| cell.trim().is_empty());
            if !is_comment && !is_empty {
                return Some((line, cells));
            }
        }
    }
}

impl Records<'_> {
    /// The cells up to the end of the line; a quoted cell may go on over several.
    fn record(&mut self) -> Vec<String> {
        let mut cells = vec![String::new()];
        let (mut characters, mut is_quoted) = (self.rest.chars().peekable(), false);
        while let Some(character) = characters.next() {
            let Some(cell) = cells.last_mut() else { break };
            self.line = self.line.saturating_add(usize::from(character == '\n'));
            match character {
                '"' if is_quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
                '"' if is_quoted => is_quoted = false,
                '"' if cell.trim().is_empty() => {
                    cell.clear();
                    is_quoted = true;
                }
                ',' if !is_quoted => cells.push(String::new()),
                '\n' if !is_quoted => break,
                '\r' if !is_quoted => {}
                other => cell.push(other),
            }
        }
        let left: usize = characters.map(char::len_utf8).sum();
        self.rest = self.rest.get(self.rest.len().saturating_sub(left)..).unwrap_or_default();
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that TOML and CSV say the same, quotes and comments included.
    #[test]
    fn both_forms_are_read() {
        let labels = ["team".to_owned(), "none".to_owned()];
        let toml = "[\"000011112222\"]\nname = \"prod\"\nteam = \"a, b\"\n\n[\"111122223333\"]\nteam = \"x\"\n";
        let csv =
            "\u{feff}# who owns what\r\naccount_id,name,team\r\n000011112222,prod,\"a, b\"\r\n\r\n111122223333,,x\n";
        let (toml, csv) = (Accounts::of_toml(toml, &labels).unwrap(), Accounts::of_csv(csv, &labels).unwrap());
        for id in ["000011112222", "111122223333", "444455556666", ""] {
            assert_eq!(toml.get(id), csv.get(id));
        }
        let facts = csv.get("000011112222").unwrap();
        assert_eq!((facts.name.as_deref(), facts.labels.as_slice()), (Some("prod"), &["team:a, b".to_owned()][..]));
        assert_eq!(
            String::from_utf8_lossy(&facts.enrichment),
            r#"{"name":"cloud.account.uid","value":"000011112222","type":"account","data":{"name":"prod","team":"a, b"}}"#
        );
        assert_eq!((csv.len(), csv.get("111122223333").unwrap().name.as_deref()), (2, None));
        let quoted = Accounts::of_csv("account_id,note\n000011112222,\"two\nlines \"\"here\"\"\"\n", &[]).unwrap();
        assert!(
            String::from_utf8_lossy(&quoted.get("000011112222").unwrap().enrichment).contains(r#"two\nlines \"here\""#)
        );
    }

    /// Guards the words of every mistake, and its line.
    #[test]
    fn mistakes_have_lines() {
        let csv = |text: &str| Accounts::of_csv(text, &[]).unwrap_err().to_string();
        assert_eq!(csv(""), "line 1: the first line names the columns, and none of them is `account_id`");
        assert_eq!(csv("account_id,a\n000011112222\n"), "line 2: 1 cells, where the first line names 2 columns");
        assert!(csv("account_id\n11112222\n").starts_with("line 2: `11112222` is no account id: twelve digits"));
        assert_eq!(
            csv("account_id\n000011112222\n\n000011112222\n"),
            "line 4: account 000011112222 stands there twice"
        );
        let toml = |text: &str| Accounts::of_toml(text, &[]).unwrap_err().to_string();
        assert!(toml("a = 1\n").starts_with("line 1: "));
        assert!(
            toml("[\"000011112222\"]\nname = [\"x\"]\n")
                .starts_with("line 1: `name` of account 000011112222 is a list")
        );
        assert!(toml("\n[prod]\nname = \"x\"\n").starts_with("line 2: `prod` is no account id"));
    }
}
