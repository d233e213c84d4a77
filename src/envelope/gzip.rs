//! The frame of a gzip member (RFC 1952), for records of several members.

use super::codec::Fault;

const HEADER_CHECK: u8 = 0x02;
const EXTRA: u8 = 0x04;
const NAME: u8 = 0x08;
const COMMENT: u8 = 0x10;
const DEFLATE: u8 = 8;
const HEADER_BYTES: usize = 10;

/// Where the deflate data of the member that begins here stands.
pub(super) fn data(input: &[u8], at: usize) -> Result<usize, Fault> {
    let header: &[u8; HEADER_BYTES] = input.get(at..).and_then(<[u8]>::first_chunk).ok_or(Fault::Truncated)?;
    let [_, _, DEFLATE, flags, ..] = *header else { return Err(Fault::Corrupt) };
    let mut data = at + HEADER_BYTES;
    if flags & EXTRA != 0 {
        let length = input.get(data..).and_then(<[u8]>::first_chunk::<2>).ok_or(Fault::Truncated)?;
        data += 2 + usize::from(u16::from_le_bytes(*length));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let rest = input.get(data..).ok_or(Fault::Truncated)?;
            data += memchr::memchr(0, rest).ok_or(Fault::Truncated)? + 1;
        }
    }
    if flags & HEADER_CHECK != 0 {
        data += 2;
    }
    if data > input.len() { Err(Fault::Truncated) } else { Ok(data) }
}

/// The eight bytes behind the data of a member with this content: its CRC and its size modulo 2^32.
pub(super) fn checks(content: &[u8]) -> [u8; 8] {
    let size = u32::try_from(content.len() & 0xFFFF_FFFF).unwrap_or(0);
    let mut checks = [0; 8];
    let (sum, length) = checks.split_at_mut(4);
    sum.copy_from_slice(&libdeflater::crc32(content).to_le_bytes());
    length.copy_from_slice(&size.to_le_bytes());
    checks
}
