//! Compression: gzip (of several members too), zlib and zstd, found by their first bytes, inflated within a bound.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{DecompressionError, Decompressor};
use memchr::memmem;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::gzip;
use super::layer::Layer;
use super::piece::Refusal;

const GZIP: &[u8] = &[0x1F, 0x8B];
const GZIP_MEMBER: &[u8] = &[0x1F, 0x8B, 0x08];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
/// The largest window of a zstd frame that is honoured, as a power of two: 128 MiB, which is what the `zstd` tool honours
/// too unless told otherwise. The window is memory beside the output.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// After a record larger than this the zstd decoder is made anew.
const ZSTD_KEPT_BYTES: usize = 8 << 20;
/// Where its output cannot be foretold, a stream is inflated in steps that double it, this one first.
const STEP_BYTES: usize = 256 << 10;

/// How much a layer may hold, and the name of the bound that says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) bytes_max: usize,
    pub(super) name: &'static str,
}

/// What stood behind the compressed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Empty,
    /// Zeros, as block devices and padding transports leave them.
    Zeros,
    /// Other bytes, from here on.
    Bytes(usize),
}

/// The formats that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zlib,
    Zstd,
}

impl Format {
    /// The format that these first bytes announce. For zlib they are a weak sign: text may begin like this.
    pub(super) fn of(input: &[u8]) -> Option<Self> {
        match input {
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            // RFC 1950, section 2.2: deflate with a window of 32 KiB, no preset dictionary, and the header's check.
            [0x78, flags, ..] if flags & 0x20 == 0 && (0x7800 + u32::from(*flags)).is_multiple_of(31) => {
                Some(Self::Zlib)
            }
            _ => None,
        }
    }
}

/// Why a stream could not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends too early.
    Truncated,
    /// It is broken.
    Corrupt,
    /// Its output breaks the bound.
    Full,
}

/// The decoders, made once and used again.
pub(super) struct Decoders {
    whole: Decompressor,
    steps: Option<Decompress>,
    zstd: Option<Decoder<'static>>,
}

impl fmt::Debug for Decoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoders").finish_non_exhaustive()
    }
}

impl Decoders {
    pub(super) fn new() -> Self {
        Self { whole: Decompressor::new(), steps: None, zstd: None }
    }

    /// Inflates behind what is written in a layer, by no more than the bound. `None` where the input only looked compressed
    /// and is text; then, and with an error, the layer is as it was.
    pub(super) fn inflate(
        &mut self,
        format: Format,
        input: &[u8],
        out: &mut Layer,
        bound: Bound,
    ) -> Result<Option<Tail>, Refusal> {
        let before = out.written().len();
        let end_max = before.saturating_add(bound.bytes_max);
        let outcome = match format {
            Format::Gzip => self.gzip(input, out, end_max),
            Format::Zlib => self.zlib(input, out, end_max),
            Format::Zstd => self.zstd(input, out, end_max),
        };
        if outcome.is_err() || out.written().len() > ZSTD_KEPT_BYTES {
            // The decoder holds on to the window of the largest frame it met.
            self.zstd = None;
        }
        if outcome.is_err() {
            out.truncate(before);
        }
        match outcome {
            Ok(behind) => Ok(Some(tail(input, behind))),
            Err(Fault::Truncated | Fault::Corrupt) if format == Format::Zlib && std::str::from_utf8(input).is_ok() => {
                Ok(None)
            }
            Err(fault) => Err(refusal(format, fault, bound)),
        }
    }

    /// Gives where the compressed data ends. `end_max` is how long the layer may become.
    fn gzip(&mut self, input: &[u8], out: &mut Layer, end_max: usize) -> Result<usize, Fault> {
        // libdeflate inflates one member and does not say how much of the input that was. Only where no second member can
        // be, and the last eight bytes of the input are the checks of what came out, was that the whole.
        let is_single = memmem::find(input.get(GZIP.len()..).unwrap_or_default(), GZIP_MEMBER).is_none();
        if is_single {
            let announced = input.last_chunk().map_or(0, |size| u32::from_le_bytes(*size));
            let announced = usize::try_from(announced).unwrap_or(usize::MAX);
            if let Some(bytes) = self.whole(input, out, announced, end_max, Decompressor::gzip_decompress)? {
                let written = out.room(bytes);
                if gzip::checks(written).as_slice() == input.last_chunk::<8>().map_or(&[][..], <[u8; 8]>::as_slice) {
                    out.commit(bytes);
                    return Ok(input.len());
                }
            }
        }
        let mut at = 0;
        while input.get(at..).is_some_and(|rest| rest.starts_with(GZIP)) {
            let data = gzip::data(input, at)?;
            let before = out.written().len();
            let end = self.stepwise(false, input, data, out, end_max)?;
            let written = out.written().get(before..).unwrap_or_default();
            let checks = input.get(end..).and_then(<[u8]>::first_chunk::<8>).ok_or(Fault::Truncated)?;
            if *checks != gzip::checks(written) {
                return Err(Fault::Corrupt);
            }
            at = end + checks.len();
        }
        Ok(at)
    }

    fn zlib(&mut self, input: &[u8], out: &mut Layer, end_max: usize) -> Result<usize, Fault> {
        let expected = input.len().saturating_mul(4);
        if let Some(bytes) = self.whole(input, out, expected, end_max, Decompressor::zlib_decompress)? {
            let check = libdeflater::adler32(out.room(bytes)).to_be_bytes();
            if input.last_chunk::<4>() == Some(&check) {
                out.commit(bytes);
                return Ok(input.len());
            }
        }
        self.stepwise(true, input, 0, out, end_max)
    }

    /// Inflates in one go, the room guessed and quadrupled. Nothing is committed. `None` where the data is not whole.
    fn whole(
        &mut self,
        input: &[u8],
        out: &mut Layer,
        guess: usize,
        end_max: usize,
        inflate: impl Fn(&mut Decompressor, &[u8], &mut [u8]) -> Result<usize, DecompressionError>,
    ) -> Result<Option<usize>, Fault> {
        let bytes_max = end_max.saturating_sub(out.written().len());
        // The announced size is the sender's word: it is believed only as far as logs pack.
        let mut room = guess.min(input.len().saturating_mul(32)).max(256).min(bytes_max);
        loop {
            match inflate(&mut self.whole, input, out.room_exact(room)) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(DecompressionError::InsufficientSpace) if room == bytes_max => return Err(Fault::Full),
                Err(DecompressionError::InsufficientSpace) => room = room.saturating_mul(4).min(bytes_max),
                Err(DecompressionError::BadData) => return Ok(None),
            }
        }
    }

    /// Inflates step by step behind what is written already. Gives where the compressed data ends.
    fn stepwise(
        &mut self,
        is_zlib: bool,
        input: &[u8],
        at: usize,
        out: &mut Layer,
        end_max: usize,
    ) -> Result<usize, Fault> {
        let steps = self.steps.get_or_insert_with(|| Decompress::new(is_zlib));
        steps.reset(is_zlib);
        let mut at = at;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let room = out.room_exact(step(out, end_max));
            let (read, written) = (steps.total_in(), steps.total_out());
            let status = steps.decompress(rest, room, FlushDecompress::None).map_err(|_| Fault::Corrupt)?;
            let read = usize::try_from(steps.total_in() - read).unwrap_or(0);
            let written = usize::try_from(steps.total_out() - written).unwrap_or(0);
            at += read;
            out.commit(written);
            if out.written().len() > end_max {
                return Err(Fault::Full);
            }
            if status == Status::StreamEnd {
                return Ok(at);
            }
            if read == 0 && written == 0 {
                return Err(Fault::Truncated);
            }
        }
    }

    fn zstd(&mut self, input: &[u8], out: &mut Layer, end_max: usize) -> Result<usize, Fault> {
        if self.zstd.is_none() {
            let mut decoder = Decoder::new().map_err(|_| Fault::Corrupt)?;
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| Fault::Corrupt)?;
            self.zstd = Some(decoder);
        }
        let Some(decoder) = self.zstd.as_mut() else { return Err(Fault::Corrupt) };
        let mut at = 0;
        while input.get(at..).is_some_and(begins_frame) {
            decoder.reinit().map_err(|_| Fault::Corrupt)?;
            loop {
                let room = out.room_exact(step(out, end_max));
                let rest = input.get(at..).unwrap_or_default();
                let status = decoder.run_on_buffers(rest, room).map_err(|_| Fault::Corrupt)?;
                at += status.bytes_read;
                out.commit(status.bytes_written);
                if out.written().len() > end_max {
                    return Err(Fault::Full);
                }
                if status.remaining == 0 {
                    break;
                }
                if status.bytes_read == 0 && status.bytes_written == 0 {
                    return Err(Fault::Truncated);
                }
            }
        }
        Ok(at)
    }
}

/// A step's room: one byte above the bound at most, so that a stream which ends exactly there is told from one that goes on.
fn step(out: &Layer, end_max: usize) -> usize {
    end_max.saturating_add(1).saturating_sub(out.written().len()).min(out.written().len().max(STEP_BYTES))
}

/// Says whether a zstd frame begins here; a skippable one counts (RFC 8878, section 3.1.2).
fn begins_frame(rest: &[u8]) -> bool {
    rest.starts_with(ZSTD) || matches!(rest, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..])
}

fn tail(input: &[u8], behind: usize) -> Tail {
    match input.get(behind..) {
        None | Some([]) => Tail::Empty,
        Some(rest) if rest.iter().all(|byte| *byte == 0) => Tail::Zeros,
        Some(_) => Tail::Bytes(behind),
    }
}

fn refusal(format: Format, fault: Fault, bound: Bound) -> Refusal {
    let (code, words) = match (fault, format) {
        (Fault::Full, _) => (bound.name, format!("it decompresses to more than {} bytes", bound.bytes_max)),
        (Fault::Truncated, Format::Gzip) => ("truncated_gzip", "the gzip data ends too early".to_owned()),
        (Fault::Truncated, Format::Zlib) => ("truncated_zlib", "the zlib data ends too early".to_owned()),
        (Fault::Truncated, Format::Zstd) => ("truncated_zstd", "the zstd data ends too early".to_owned()),
        (Fault::Corrupt, Format::Gzip) => ("corrupt_gzip", "the gzip data is broken".to_owned()),
        (Fault::Corrupt, Format::Zlib) => ("corrupt_zlib", "the zlib data is broken".to_owned()),
        (Fault::Corrupt, Format::Zstd) => ("corrupt_zstd", "the zstd data is broken".to_owned()),
    };
    Refusal { code, words }
}
