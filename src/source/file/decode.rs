//! Decompression of a byte stream that arrives in pieces.

use std::io::{self, Write};

/// Turns the bytes of a file, piece by piece, into its plain bytes. Which compression it is, if any, is seen in the first
/// piece. Feeding it small pieces bounds what one piece can grow to: gzip by about 1030, zstd by its window and block size.
pub enum Decoder {
    /// Nothing was seen yet.
    Start,
    /// No compression.
    Plain,
    /// gzip, one member or several.
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    /// zstd, one frame or several.
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Decoder {
    /// Takes the next piece and appends the plain bytes to `out`.
    ///
    /// # Errors
    ///
    /// When the bytes are corrupt; what came out before is in `out`.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if matches!(self, Self::Start) {
            *self = Self::for_first(piece)?;
        }
        match self {
            Self::Start => Ok(()),
            Self::Plain => out.write_all(piece),
            Self::Gzip(decoder) => {
                let result = decoder.write_all(piece);
                out.append(decoder.get_mut());
                result
            }
            Self::Zstd(decoder) => {
                let result = decoder.write_all(piece);
                out.append(decoder.get_mut());
                result
            }
        }
    }

    /// Says that the input has ended and appends what is left.
    ///
    /// # Errors
    ///
    /// When the compressed stream is cut short.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Start | Self::Plain => Ok(()),
            Self::Gzip(decoder) => {
                let result = decoder.try_finish();
                out.append(decoder.get_mut());
                result
            }
            Self::Zstd(decoder) => {
                let result = decoder.flush();
                out.append(decoder.get_mut());
                result
            }
        }
    }

    /// Says whether these bytes, from their beginning, are compressed once more.
    #[must_use]
    pub fn is_compressed(bytes: &[u8]) -> bool {
        bytes.starts_with(&GZIP) || bytes.starts_with(&ZSTD)
    }

    fn for_first(piece: &[u8]) -> io::Result<Self> {
        if piece.starts_with(&GZIP) {
            Ok(Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new()))))
        } else if piece.starts_with(&ZSTD) {
            Ok(Self::Zstd(Box::new(zstd::stream::write::Decoder::new(Vec::new())?)))
        } else if piece.is_empty() {
            Ok(Self::Start)
        } else {
            Ok(Self::Plain)
        }
    }
}
