//! What is known of accounts, read from a file and read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::normalize::{Accounts, AccountsError};
use crate::unit::Span;

/// Tells of an event's account what the event does not: its name, and whatever else you keep in the file (team, environment).
/// `name` becomes `cloud.account.name`, and all of it an element of `enrichments`; routes see both.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountsOptions {
    /// The file. `*.csv`: a header line with the column `account_id`, and a line for each account. `*.toml`: a table for each
    /// account, `["111122223333"]`.
    pub file: Option<PathBuf>,
    /// Columns that become labels too: `metadata.labels` gets `team:payments`.
    pub labels: Vec<String>,
    /// How often the file is looked at. When it has changed it is read again; if it is broken then, what was known stays.
    pub reload_every: Span,
}

impl Default for AccountsOptions {
    fn default() -> Self {
        Self { file: None, labels: Vec::new(), reload_every: Span::seconds(30) }
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is larger than a table of accounts is.
    #[error("{0} is larger than {max} MiB: a line for each account is enough", max = BYTES_MAX >> 20)]
    TooLarge(PathBuf),
    /// Its name does not tell what it is.
    #[error("{0} is neither *.csv nor *.toml")]
    Kind(PathBuf),
    /// A mistake in it.
    #[error("{path}: {error}")]
    Mistake {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        error: AccountsError,
    },
}

/// The most bytes of a file of accounts. An organization has 10,000 accounts at most, by AWS's largest quota.
const BYTES_MAX: u64 = 64 << 20;

/// What is known of accounts now, and the file that it is from.
#[derive(Clone, Debug)]
pub struct AccountsSettings {
    options: AccountsOptions,
    known: Arc<Accounts>,
    stamp: Option<Stamp>,
}

/// What a file shows from outside when it has changed.
type Stamp = (Option<SystemTime>, u64);

/// What is known of accounts, for those who ask; another task keeps it current.
#[derive(Clone, Debug)]
pub struct AccountsFile(watch::Receiver<Arc<Accounts>>);

impl AccountsSettings {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or with the first mistake in it.
    pub fn load(options: &AccountsOptions) -> Result<Self, FileError> {
        let (known, stamp) = match &options.file {
            None => (Accounts::default(), None),
            Some(path) => {
                let stamp = stamp(path)?;
                (read(path, stamp, &options.labels)?, Some(stamp))
            }
        };
        Ok(Self { options: options.clone(), known: Arc::new(known), stamp })
    }

    /// The table, and what keeps it current, for a task of its own: it does not end while somebody asks the table. Dropping it
    /// midway is safe.
    pub fn watch(self) -> (AccountsFile, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = watch::channel(Arc::clone(&self.known));
        (AccountsFile(receiver), self.keep_current(sender))
    }

    async fn keep_current(mut self, sender: watch::Sender<Arc<Accounts>>) {
        let Some(path) = self.options.file.clone() else { return };
        let mut failed: Option<String> = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.options.reload_every.0.max(Duration::from_millis(10))) => {}
                () = sender.closed() => return,
            }
            match self.reread(&path) {
                Ok(None) => {}
                Ok(Some(accounts)) => {
                    failed = None;
                    tracing::info!(path = %path.display(), accounts = accounts.len(), "accounts read again");
                    sender.send_replace(Arc::new(accounts));
                }
                Err(error) => {
                    let words = error.to_string();
                    if failed.as_ref() != Some(&words) {
                        tracing::warn!(error = %words, "cannot read the accounts again, what was known of them stays");
                        failed = Some(words);
                    }
                }
            }
        }
    }

    /// The table, if the file has changed. A file that is replaced by a rename, as it should be, is seen whole.
    fn reread(&mut self, path: &Path) -> Result<Option<Accounts>, FileError> {
        let stamp = stamp(path)?;
        if self.stamp == Some(stamp) {
            return Ok(None);
        }
        let accounts = read(path, stamp, &self.options.labels)?;
        self.stamp = Some(stamp);
        Ok(Some(accounts))
    }
}

impl AccountsFile {
    /// The table as it is now.
    #[must_use]
    pub fn now(&self) -> Arc<Accounts> {
        Arc::clone(&self.0.borrow())
    }
}

fn stamp(path: &Path) -> Result<Stamp, FileError> {
    let metadata = std::fs::metadata(path).map_err(|error| FileError::Read { path: path.to_owned(), error })?;
    Ok((metadata.modified().ok(), metadata.len()))
}

fn read(path: &Path, stamp: Stamp, labels: &[String]) -> Result<Accounts, FileError> {
    if stamp.1 > BYTES_MAX {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    let of = match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Accounts::of_csv,
        Some("toml") => Accounts::of_toml,
        _ => return Err(FileError::Kind(path.to_owned())),
    };
    let text = std::fs::read_to_string(path).map_err(|error| FileError::Read { path: path.to_owned(), error })?;
    of(&text, labels).map_err(|error| FileError::Mistake { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a changed file is read again, that a broken one costs nothing that was known, and its words.
    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("accounts.csv");
        let write = |text: &str| {
            let new = directory.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        write("account_id,name\n111122223333,one\n");
        let options = AccountsOptions {
            file: Some(path.clone()),
            reload_every: Span(Duration::from_millis(10)),
            ..AccountsOptions::default()
        };
        let (file, keep) = AccountsSettings::load(&options).unwrap().watch();
        let task = tokio::spawn(keep);
        assert_eq!((file.now().len(), file.now().is_empty()), (1, false));
        write("account_id,name\n111122223333,one\n444455556666,two\n");
        let mut changed = file.0.clone();
        changed.changed().await.unwrap();
        assert_eq!(file.now().len(), 2);
        write("nothing of the kind");
        write("account_id,name\n444455556666,another\n");
        changed.changed().await.unwrap();
        assert_eq!(file.now().len(), 1);
        drop((file, changed));
        task.await.unwrap();

        std::fs::write(&path, "account_id\nx\n").unwrap();
        let error = AccountsSettings::load(&options).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "line 2: `x` is no account id: twelve digits, zeros at the beginning included (a text, not a number)"
            ),
            "{error}"
        );
        let options = AccountsOptions { file: Some(directory.path().join("accounts.txt")), ..options };
        assert!(AccountsSettings::load(&options).unwrap_err().to_string().contains("cannot read"));
        std::fs::write(directory.path().join("accounts.txt"), "").unwrap();
        assert!(AccountsSettings::load(&options).unwrap_err().to_string().ends_with("is neither *.csv nor *.toml"));
    }
}
