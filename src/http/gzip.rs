//! Compressing bodies.

use std::sync::{Mutex, PoisonError};

use libdeflater::{CompressionLvl, Compressor};

use super::CompressionLevel;

/// How many idle compressors are kept. A lane sends few requests at a time; more are made for a moment and dropped.
const COMPRESSORS_IDLE_MAX: usize = 8;

/// Compresses bodies at one level; its compressors are used again. Calls from several requests at a time do not wait for
/// each other's compression.
pub struct Gzip {
    /// `None` where bodies go plain.
    level: Option<CompressionLvl>,
    idle: Mutex<Vec<Compressor>>,
}

/// A request's body as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The value of `Content-Encoding`; `None` where the bytes are plain.
    pub encoding: Option<&'static str>,
}

impl Gzip {
    /// A compressor of this level.
    #[must_use]
    pub fn new(level: CompressionLevel) -> Self {
        // The library's own level 0 would wrap the plain bytes in gzip.
        let level = (level != CompressionLevel::NONE).then(|| CompressionLvl::new(i32::from(level.get())));
        Self { level: level.and_then(Result::ok), idle: Mutex::default() }
    }

    /// The body of a request: compressed, or plain where level 0 was asked for. It runs for about two milliseconds per
    /// megabyte at level 1, on the caller's thread.
    #[must_use]
    pub fn body(&self, plain: &[u8]) -> Body {
        match self.level.and_then(|level| self.compress(level, plain)) {
            Some(bytes) => Body { bytes, encoding: Some("gzip") },
            None => Body { bytes: plain.to_vec(), encoding: None },
        }
    }

    fn compress(&self, level: CompressionLvl, plain: &[u8]) -> Option<Vec<u8>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut compressor = idle.unwrap_or_else(|| Compressor::new(level));
        let mut bytes = vec![0; compressor.gzip_compress_bound(plain.len())];
        // It fails only if the buffer is below the bound, which it is not; plain bytes are right in any case.
        let length = compressor.gzip_compress(plain, &mut bytes).ok();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < COMPRESSORS_IDLE_MAX {
            idle.push(compressor);
        }
        drop(idle);
        bytes.truncate(length?);
        Some(bytes)
    }
}

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gzip").field("level", &self.level).finish_non_exhaustive()
    }
}
