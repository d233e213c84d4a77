//! Compressing bodies.

use std::sync::{Mutex, PoisonError};

use libdeflater::CompressionLvl;

use super::{Compression, CompressionLevel};

/// How many idle engines are kept. A lane sends few requests at a time; more are made for a moment and dropped.
const ENGINES_IDLE_MAX: usize = 8;

/// Compresses bodies in one way at one level; its engines are used again. Calls from several requests at a time do not wait
/// for each other's compression.
pub struct Compressor {
    method: Method,
    idle: Mutex<Vec<Engine>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Plain,
    Gzip(CompressionLvl),
    /// What HTTP calls `deflate` is the zlib format (RFC 9110, section 8.4.1.2).
    Zlib(CompressionLvl),
    Zstd(i32),
}

enum Engine {
    Deflate(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

/// A request's body as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The value of `Content-Encoding`; `None` where the bytes are plain.
    pub encoding: Option<&'static str>,
}

impl Compressor {
    /// A compressor of this kind and level. Level 0 leaves bodies plain, whatever the kind.
    #[must_use]
    pub fn new(compression: Compression, level: CompressionLevel) -> Self {
        let number = i32::from(level.get());
        let method = match (compression, CompressionLvl::new(number)) {
            // The libraries' own level 0 would wrap the plain bytes, or mean their default.
            _ if level == CompressionLevel::NONE => Method::Plain,
            (Compression::Gzip, Ok(level)) => Method::Gzip(level),
            (Compression::Deflate, Ok(level)) => Method::Zlib(level),
            (Compression::Zstd, _) => Method::Zstd(number),
            (Compression::None, _) | (_, Err(_)) => Method::Plain,
        };
        Self { method, idle: Mutex::default() }
    }

    /// A gzip compressor, for a destination that takes nothing else.
    #[must_use]
    pub fn gzip(level: CompressionLevel) -> Self {
        Self::new(Compression::Gzip, level)
    }

    /// The body of a request: compressed, or plain where that was asked for. It runs for about two milliseconds per
    /// megabyte at level 1, on the caller's thread.
    #[must_use]
    pub fn body(&self, plain: &[u8]) -> Body {
        let compressed = self.method.encoding().and_then(|encoding| Some((self.compress(plain)?, encoding)));
        match compressed {
            Some((bytes, encoding)) => Body { bytes, encoding: Some(encoding) },
            None => Body { bytes: plain.to_vec(), encoding: None },
        }
    }

    /// `None` where the library fails, which it does only for want of memory; plain bytes are right in any case.
    fn compress(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut engine = idle.or_else(|| self.method.engine())?;
        let bytes = self.method.run(&mut engine, plain);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < ENGINES_IDLE_MAX {
            idle.push(engine);
        }
        bytes
    }
}

impl Method {
    const fn encoding(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip(_) => Some("gzip"),
            Self::Zlib(_) => Some("deflate"),
            Self::Zstd(_) => Some("zstd"),
        }
    }

    fn engine(self) -> Option<Engine> {
        match self {
            Self::Plain => None,
            Self::Gzip(level) | Self::Zlib(level) => Some(Engine::Deflate(libdeflater::Compressor::new(level))),
            Self::Zstd(level) => zstd::bulk::Compressor::new(level).ok().map(Engine::Zstd),
        }
    }

    fn run(self, engine: &mut Engine, plain: &[u8]) -> Option<Vec<u8>> {
        match (self, engine) {
            (Self::Gzip(_), Engine::Deflate(engine)) => {
                let mut bytes = vec![0; engine.gzip_compress_bound(plain.len())];
                let length = engine.gzip_compress(plain, &mut bytes).ok()?;
                bytes.truncate(length);
                Some(bytes)
            }
            (Self::Zlib(_), Engine::Deflate(engine)) => {
                let mut bytes = vec![0; engine.zlib_compress_bound(plain.len())];
                let length = engine.zlib_compress(plain, &mut bytes).ok()?;
                bytes.truncate(length);
                Some(bytes)
            }
            (Self::Zstd(_), Engine::Zstd(engine)) => engine.compress(plain).ok(),
            // An engine is only ever made by the method that it belongs to.
            _ => None,
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("method", &self.method).finish_non_exhaustive()
    }
}
