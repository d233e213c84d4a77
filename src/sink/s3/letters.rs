//! Dead letters in a bucket: written as objects, read, and removed again.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::letter_options::LetterBucketOptions;
use super::objects::{Got, Objects};
use super::request::{Object, object};
use super::sink::permissions;
use crate::aws::permission::{Home, Permissions, Statement};
use crate::delivery::{Error, KeptLine, WrittenLetter};
use crate::http::{CompressionLevel, Compressor};
use crate::sink;

/// The bytes of lines from which on another object is begun. One letter alone may be larger.
const OBJECT_BYTES_MAX: usize = 8 << 20;

/// The largest object that is read, compressed and plain. Those that are written stay far below.
const READ_BYTES_MAX: usize = 512 << 20;

/// The most objects that one replay reads: their keys are in memory.
const OBJECTS_MAX: usize = 500_000;

/// The bucket and prefix where dead letters lie.
#[derive(Debug)]
pub struct LetterBucket {
    objects: Objects,
    compressor: Compressor,
    prefix: String,
}

/// What lies in a bucket, object by object.
#[derive(Debug)]
pub struct LettersOfBucket {
    bucket: Arc<LetterBucket>,
    /// The keys that there were at the beginning; `None` before they were asked for.
    keys: Option<VecDeque<String>>,
}

impl LetterBucket {
    /// A store after these options. Connects to nothing.
    ///
    /// # Errors
    ///
    /// When an option is wrong.
    pub fn new(options: &LetterBucketOptions) -> Result<Self, sink::Error> {
        if let Some((option, words)) = options.mistake() {
            return Err(sink::Error::Option { option, words });
        }
        let compressor = Compressor::new(options.compression.into(), CompressionLevel::default());
        Ok(Self { objects: Objects::new(&options.sink()), compressor, prefix: options.prefix.clone() })
    }

    /// Writes letters, and completes when S3 has them. An object's name is made of its lines alone: letters that are written
    /// again take their own place. Dropping the future midway is safe in the same sense.
    ///
    /// # Errors
    ///
    /// When S3 does not take them all; some may be there.
    pub async fn keep(&self, letters: &[WrittenLetter]) -> Result<(), Error> {
        for object in self.objects_of(letters) {
            Box::pin(self.objects.put(object)).await?;
        }
        Ok(())
    }

    /// Asks whether letters could be written, and writes none.
    ///
    /// # Errors
    ///
    /// With what stands in the way, and the remedy.
    pub async fn check(&self) -> Result<(), Error> {
        Box::pin(self.objects.check(&self.prefix)).await
    }

    /// Removes lines from an object by their marks, and the object where none is left. What is left stays in its place: whoever
    /// looks meanwhile finds the object as it was, or as it is to be. Lines are known by their bytes, so that another replay
    /// which removes others from it at the same time makes none go that was not meant.
    ///
    /// # Errors
    ///
    /// When S3 refuses; the object is as it was then, or as it is to be.
    pub async fn remove(&self, key: &str, marks: &BTreeSet<u64>) -> Result<(), Error> {
        let Got::Object(body) = Box::pin(self.objects.get(key, READ_BYTES_MAX)).await? else { return Ok(()) };
        // What cannot be read was not replayed either: it stays.
        let Ok(plain) = plain(&body) else { return Ok(()) };
        let mut rest = Vec::new();
        for line in lines(&plain).filter(|line| !marks.contains(&mark(line))) {
            rest.extend_from_slice(line);
            rest.push(b'\n');
        }
        if rest.is_empty() {
            return Box::pin(self.objects.delete(key)).await;
        }
        let compressor = match key.rsplit('.').next() {
            Some("gz") => Compressor::new(crate::http::Compression::Gzip, CompressionLevel::default()),
            Some("zst") => Compressor::new(crate::http::Compression::Zstd, CompressionLevel::default()),
            _ => Compressor::new(crate::http::Compression::None, CompressionLevel::default()),
        };
        let object = Object { key: key.to_owned(), ..object(&compressor, "", &[], &rest) };
        Box::pin(self.objects.put(object)).await
    }

    /// Letters as objects. Pure.
    fn objects_of(&self, letters: &[WrittenLetter]) -> Vec<Object> {
        let (mut objects, mut lines, mut first_ms) = (Vec::new(), Vec::new(), None);
        for letter in letters {
            if !lines.is_empty() && lines.len() + letter.line.len() > OBJECT_BYTES_MAX {
                objects.push(self.object(&lines, first_ms.take()));
                lines.clear();
            }
            first_ms.get_or_insert(letter.last_ms);
            lines.extend_from_slice(&letter.line);
        }
        if !lines.is_empty() {
            objects.push(self.object(&lines, first_ms));
        }
        objects
    }

    fn object(&self, lines: &[u8], first_ms: Option<i64>) -> Object {
        let time = first_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
        let start = format!("{}{}", self.prefix, time.strftime("year=%Y/month=%m/day=%d/"));
        object(&self.compressor, &start, &Sha256::digest(lines), lines)
    }
}

impl LettersOfBucket {
    /// All that lies there when the first is asked for.
    #[must_use]
    pub fn new(bucket: Arc<LetterBucket>) -> Self {
        Self { bucket, keys: None }
    }

    /// The lines of the next object; `None` behind the last. After an error the same is asked for again. Dropping the future
    /// midway begins the reading anew.
    ///
    /// # Errors
    ///
    /// When S3 refuses.
    pub async fn next(&mut self) -> Result<Option<Vec<KeptLine>>, Error> {
        let mut keys = match self.keys.take() {
            Some(keys) => keys,
            None => self.bucket.keys().await?,
        };
        let found = loop {
            let Some(key) = keys.front() else { break Ok(None) };
            match Box::pin(self.bucket.objects.get(key, READ_BYTES_MAX)).await {
                Err(error) => break Err(error),
                // Another replay has removed it since.
                Ok(Got::Nothing) => drop(keys.pop_front()),
                Ok(Got::Object(body)) => break Ok(Some(kept_lines(key, plain(&body)))),
                Ok(Got::TooLarge) => {
                    let error =
                        io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any object of dead letters");
                    break Ok(Some(kept_lines(key, Err(error))));
                }
            }
        };
        if let Ok(Some(_)) = found {
            keys.pop_front();
        }
        self.keys = Some(keys);
        found
    }
}

impl LetterBucket {
    /// The keys of the objects of letters, the oldest day first.
    async fn keys(&self) -> Result<VecDeque<String>, Error> {
        let (mut keys, mut token) = (VecDeque::new(), None);
        loop {
            let (page, next) = Box::pin(self.objects.list(&self.prefix, token)).await?;
            let endings = [".ndjson", ".ndjson.gz", ".ndjson.zst"];
            keys.extend(page.into_iter().filter(|key| endings.iter().any(|ending| key.ends_with(ending))));
            if keys.len() >= OBJECTS_MAX {
                tracing::warn!(
                    objects = keys.len(),
                    "no more objects are read by one replay: replay again for the rest"
                );
                return Ok(keys);
            }
            match next {
                Some(_) => token = next,
                None => return Ok(keys),
            }
        }
    }
}

/// What keeping letters needs; `home` is where the process runs, as far as it is known. Pure.
#[must_use]
pub fn letter_permissions(options: &LetterBucketOptions, home: &Home) -> Permissions {
    permissions(&options.sink(), home)
}

/// What replaying needs besides: to find, read and remove them. Pure.
#[must_use]
pub fn replay_permissions(options: &LetterBucketOptions, home: &Home) -> Permissions {
    let sink = options.sink();
    let access = sink.access();
    let home = home.accessed(&access);
    let (bucket, object) = if options.bucket.starts_with("arn:") {
        (options.bucket.clone(), format!("{}/object/{}*", options.bucket, options.prefix))
    } else {
        let object = home.global_arn("s3", &format!("{}/{}*", options.bucket, options.prefix));
        (home.global_arn("s3", &options.bucket), object)
    };
    let mut permissions = Permissions::default();
    permissions.allow(&access, Statement::new(&["s3:GetObject", "s3:DeleteObject"], object));
    let list = Statement::new(&["s3:ListBucket"], bucket).only_if("s3:prefix", format!("{}*", options.prefix));
    permissions.allow(&access, list);
    permissions
}

/// The lines of an object; one that is no letter where it cannot be read.
fn kept_lines(key: &str, plain: io::Result<Vec<u8>>) -> Vec<KeptLine> {
    let holder: Arc<str> = Arc::from(key);
    match plain {
        Ok(plain) => {
            let plain = Bytes::from(plain);
            let kept =
                |line: &[u8]| KeptLine { holder: Arc::clone(&holder), mark: mark(line), line: plain.slice_ref(line) };
            lines(&plain).map(kept).collect()
        }
        Err(error) => {
            tracing::warn!(key, %error, "an object cannot be read, and stays");
            vec![KeptLine { holder, mark: 0, line: Bytes::new() }]
        }
    }
}

fn lines(plain: &[u8]) -> impl Iterator<Item = &[u8]> {
    plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// What tells a line from others: a hash of its bytes.
fn mark(line: &[u8]) -> u64 {
    Sha256::digest(line).iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

/// The plain bytes of an object, which may have been compressed by another configuration than that of now.
fn plain(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let copied = if body.starts_with(&[0x1f, 0x8b]) {
        bounded(flate2::read::MultiGzDecoder::new(body), &mut out)?
    } else if body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        bounded(zstd::Decoder::new(body)?, &mut out)?
    } else {
        bounded(body, &mut out)?
    };
    if copied > READ_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it decompresses to more than any object of dead letters",
        ));
    }
    Ok(out)
}

fn bounded(from: impl Read, out: &mut Vec<u8>) -> io::Result<usize> {
    let most = u64::try_from(READ_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let copied = io::copy(&mut from.take(most), out)?;
    Ok(usize::try_from(copied).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(written: &str) -> LetterBucket {
        LetterBucket::new(&toml::from_str(&format!("bucket = 'letters'\n{written}")).unwrap()).unwrap()
    }

    fn letter(text: &str, last_ms: i64) -> WrittenLetter {
        WrittenLetter { line: format!("{text}\n").into_bytes(), source: "s".into(), shard: "1".into(), last_ms }
    }

    /// Guards that the same letters have the same place, others another, that the day is the letters' own, and that each form
    /// is read back.
    #[test]
    fn letters_become_objects_and_lines() {
        for (written, ending) in
            [("", ".ndjson.gz"), ("compression = 'zstd'", ".ndjson.zst"), ("compression = 'none'", ".ndjson")]
        {
            let bucket = bucket(written);
            let letters = [letter("{\"a\":1}", 1_767_323_045_678), letter("{\"a\":2}", 0)];
            let objects = bucket.objects_of(&letters);
            assert_eq!(objects, bucket.objects_of(&letters));
            let [object] = objects.as_slice() else { panic!("{objects:?}") };
            assert!(object.key.starts_with("siemline-dead-letters/year=2026/month=01/day=02/"), "{}", object.key);
            assert!(object.key.ends_with(ending), "{}", object.key);
            assert_ne!(bucket.objects_of(&letters[..1])[0].key, object.key);
            let lines = kept_lines(&object.key, plain(&object.body));
            let read: Vec<&[u8]> = lines.iter().map(|line| &line.line[..]).collect();
            assert_eq!(read, [b"{\"a\":1}", b"{\"a\":2}"]);
            assert!(lines[0].mark != lines[1].mark && *lines[0].holder == *object.key);
        }
    }

    /// Guards the bound of an object, and that one letter above it has an object of its own.
    #[test]
    fn large_letters_do_not_share() {
        let large = "x".repeat(OBJECT_BYTES_MAX);
        let letters = [letter("a", 0), letter(&large, 0), letter("b", 0), letter("c", 0)];
        let objects = bucket("compression = 'none'").objects_of(&letters);
        let sizes: Vec<usize> = objects.iter().map(|object| object.body.len()).collect();
        assert_eq!(sizes, [2, large.len() + 1, 4]);
    }

    /// Guards that what cannot be read is told as a line that is no letter, and not as the end of all.
    #[test]
    fn broken_objects_are_told() {
        for body in [&b"\x1f\x8bxx"[..], b"\x28\xb5\x2f\xfdxx"] {
            let lines = kept_lines("k", plain(body));
            assert_eq!(lines, [KeptLine { holder: "k".into(), mark: 0, line: Bytes::new() }]);
        }
    }

    /// Guards that a prefix which cannot be, and a class which could not be replayed, are told at the start.
    #[test]
    fn mistakes_are_told() {
        for (written, part) in [
            ("prefix = '{log_type}/'", "without braces"),
            ("storage_class = 'DEEP_ARCHIVE'", "not be replayed"),
            ("kms_key = 'k'", "`encryption = \"kms\"` only"),
        ] {
            let options = toml::from_str(&format!("bucket = 'letters'\n{written}")).unwrap();
            let error = LetterBucket::new(&options).unwrap_err().to_string();
            assert!(error.contains(part), "{written}: {error}");
        }
    }

    /// Guards that the process which writes may neither read nor remove, and what a replay may besides.
    #[test]
    fn permissions_are_narrow() {
        let options: LetterBucketOptions = toml::from_str("bucket = 'letters'\nprefix = 'dl/'").unwrap();
        let home = Home::new(Some("eu-west-1"), Some("111122223333"));
        let text = |permissions: Permissions| {
            permissions.policies(&home).iter().map(|policy| policy.document.to_string()).collect::<String>()
        };
        let written = text(letter_permissions(&options, &home));
        assert!(written.contains("s3:PutObject") && written.contains("arn:aws:s3:::letters/dl/*"), "{written}");
        assert!(!written.contains("GetObject") && !written.contains("Delete"), "{written}");
        let read = text(replay_permissions(&options, &home));
        for part in
            ["s3:GetObject", "s3:DeleteObject", "s3:ListBucket", "\"s3:prefix\":\"dl/*\"", "\"arn:aws:s3:::letters\""]
        {
            assert!(read.contains(part), "{part} in {read}");
        }
    }
}
