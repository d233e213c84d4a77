//! What a record may cost: every bound of the peeling, by name and unit.

/// The bounds of [`Peeler`](super::Peeler). A record over one of them is refused whole, and the refusal's code is the
/// name of the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes one record may become in memory: the output of every layer of compression and of unescaping, and
    /// the contexts of its events, all together. A Kinesis record is at most 10 MiB as it comes; logs pack to a tenth,
    /// and a log event is held twice (decompressed and unescaped), so an honest record stays below 200 MiB. 256 MiB.
    pub decompressed_bytes_max: usize,
    /// How many times its own size a record may decompress to, over all its layers of compression. Logs reach 30, and
    /// very dull ones 100; a bomb has 1,000 a layer. 200.
    pub ratio_max: usize,
    /// `ratio_max` says nothing below so many bytes of output, where a bomb does no harm: 8 MiB.
    pub ratio_free_bytes: usize,
    /// The most envelopes around an event, each layer of compression and each list counted. Never above
    /// [`Limits::DEPTH_CEILING`]. 8.
    pub depth_max: usize,
    /// The most pieces in a record, the filtered and refused ones counted. 100,000.
    pub events_per_record_max: usize,
}

impl Limits {
    /// `depth_max` is never more than this, whatever was asked for: each envelope costs a stack frame.
    pub const DEPTH_CEILING: usize = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            decompressed_bytes_max: 256 << 20,
            ratio_max: 200,
            ratio_free_bytes: 8 << 20,
            depth_max: 8,
            events_per_record_max: 100_000,
        }
    }
}
