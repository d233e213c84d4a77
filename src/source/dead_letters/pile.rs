//! All dead letters that a replay reads, one after the other.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use super::Error;
use super::files::{Letters, Line};
use crate::delivery::{self, KeptLetter, KeptLine};

/// Reads what lies in a store on the network, once, from its beginning to what lay there when it began.
pub trait ReadLetters: Send {
    /// The next lines, as many as the store holds together, or none of them by chance; `None` behind the last. It retries by
    /// itself, with a bound.
    ///
    /// # Errors
    ///
    /// When the store refuses.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<KeptLine>>, delivery::Error>> + Send;
}

/// What holds a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A file.
    File(Arc<PathBuf>),
    /// A part of the store on the network, by its name there.
    Store(Arc<str>),
}

/// Where a letter lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What holds it.
    pub holder: Holder,
    /// What tells it from the others there: in a file, where its line begins.
    pub mark: u64,
}

/// A line that was found.
#[derive(Debug)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// How long it is, its end included.
    pub bytes: u64,
    /// The letter; `None` where it is none.
    pub letter: Option<KeptLetter>,
}

/// A store on the network if there is one, and behind it files. In this order, since what lies in the store is found before
/// anything is sent, and may fail again and be kept there anew.
#[derive(Debug)]
pub struct Pile<R> {
    files: VecDeque<(PathBuf, u64)>,
    open: Option<(Arc<PathBuf>, Letters)>,
    store: Option<R>,
    lines: VecDeque<KeptLine>,
}

impl<R: ReadLetters> Pile<R> {
    /// Files, and how much of each is read, as [`find`](super::find) tells it.
    #[must_use]
    pub fn new(files: Vec<(PathBuf, u64)>, store: Option<R>) -> Self {
        Self { files: files.into(), open: None, store, lines: VecDeque::new() }
    }

    /// The next line; `None` behind the last. Dropping the future midway loses the place: the reading is to be begun anew then.
    ///
    /// # Errors
    ///
    /// When a file or the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Found>, Error> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(found(line)));
            } else if let Some(store) = &mut self.store {
                match store.next().await.map_err(Error::Store)? {
                    Some(lines) => self.lines = lines.into(),
                    None => self.store = None,
                }
            } else if let Some((path, letters)) = &mut self.open {
                if let Some(Line { offset, bytes, letter }) = letters.next().await? {
                    let place = Place { holder: Holder::File(Arc::clone(path)), mark: offset };
                    return Ok(Some(Found { place, bytes, letter }));
                }
                self.open = None;
            } else if let Some((path, bytes)) = self.files.pop_front() {
                let letters = Letters::open(&path, bytes).await?;
                self.open = Some((Arc::new(path), letters));
            } else {
                return Ok(None);
            }
        }
    }
}

fn found(KeptLine { holder, mark, line }: KeptLine) -> Found {
    let letter = match KeptLetter::parse(&line) {
        Ok(letter) => Some(letter),
        Err(error) => {
            tracing::warn!(%holder, %error, "a line is passed over");
            None
        }
    };
    let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
    Found { place: Place { holder: Holder::Store(holder), mark }, bytes, letter }
}
