//! Header blocks of HTTP/2 (HPACK, RFC 7541) without a dynamic table: what we send never indexes, and what we are sent
//! cannot, because we announce a table of size 0. So a block means the same whenever it comes, and its meaning is remembered.

use super::huffman;
use std::collections::HashMap;

/// Blocks repeat but for the date, which changes each second: a whole run has few.
const REMEMBERED: usize = 512;

/// What is looked at of the fields of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) status: Option<u16>,
    pub(super) grpc_status: Option<u16>,
    pub(super) served_by: Option<Vec<u8>>,
}

/// Reads header blocks.
#[derive(Debug, Default)]
pub(super) struct Reader {
    known: HashMap<Vec<u8>, Meaning>,
}

impl Reader {
    pub(super) fn read(&mut self, block: &[u8]) -> Result<&Meaning, String> {
        if !self.known.contains_key(block) {
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            self.known.insert(block.to_vec(), meaning(block)?);
        }
        Ok(&self.known[block])
    }
}

fn meaning(mut block: &[u8]) -> Result<Meaning, String> {
    let mut meaning = Meaning::default();
    while let Some(first) = block.first().copied() {
        match first {
            0x80.. => note_indexed(&mut meaning, integer(&mut block, 7)?)?,
            0x20..=0x3f => match integer(&mut block, 5)? {
                0 => {}
                size => return Err(format!("a header table of {size} bytes, where we allow none")),
            },
            _ => {
                let index = integer(&mut block, if first >= 0x40 { 6 } else { 4 })?;
                let name = if index == 0 { string(&mut block)? } else { static_name(index)?.to_vec() };
                note(&mut meaning, &name, string(&mut block)?);
            }
        }
    }
    Ok(meaning)
}

fn note(meaning: &mut Meaning, name: &[u8], value: Vec<u8>) {
    let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok();
    match name {
        b":status" => meaning.status = number(&value),
        b"grpc-status" => meaning.grpc_status = number(&value),
        b"x-lapdev-served-by" => meaning.served_by = Some(value),
        _ => {}
    }
}

/// Whole fields of the static table that matter here: 8 to 14 are statuses.
fn note_indexed(meaning: &mut Meaning, index: usize) -> Result<(), String> {
    const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    static_name(index)?;
    if let Some(status) = index.checked_sub(8).and_then(|place| STATUSES.get(place)) {
        meaning.status = Some(*status);
    }
    Ok(())
}

/// The static table's name, as far as it matters here.
fn static_name(index: usize) -> Result<&'static [u8], String> {
    match index {
        8..=14 => Ok(b":status"),
        1..=61 => Ok(b""),
        _ => Err(format!("an entry {index} of the header table, which we announced to be empty")),
    }
}

fn integer(block: &mut &[u8], bits: u32) -> Result<usize, String> {
    let cut = || "a header block ends early".to_owned();
    let mask = (1_usize << bits) - 1;
    let (first, mut rest) = block.split_first().ok_or_else(cut)?;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        for shift in (0..28).step_by(7) {
            let (byte, after) = rest.split_first().ok_or_else(cut)?;
            rest = after;
            value += usize::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                break;
            }
        }
    }
    *block = rest;
    Ok(value)
}

fn string(block: &mut &[u8]) -> Result<Vec<u8>, String> {
    let packed = block.first().is_some_and(|byte| *byte >= 0x80);
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or("a header block ends early")?;
    *block = rest;
    if packed {
        huffman::decode(text).ok_or_else(|| "a header is no Huffman code".to_owned())
    } else {
        Ok(text.to_vec())
    }
}

/// Adds a field that is not to be indexed.
pub(super) fn put(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    put_string(block, name);
    put_string(block, value);
}

/// Adds a whole field of the static table.
pub(super) fn put_indexed(block: &mut Vec<u8>, index: u8) {
    block.push(0x80 | index);
}

fn put_string(block: &mut Vec<u8>, text: &str) {
    put_length(block, text.len());
    block.extend_from_slice(text.as_bytes());
}

fn put_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(length as u8);
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let long = "x".repeat(300);
        let mut block = vec![0x20];
        put_indexed(&mut block, 8);
        put(&mut block, "grpc-status", "14");
        put(&mut block, "another", &long);
        put(&mut block, "x-lapdev-served-by", &long);
        let expected = Meaning { status: Some(200), grpc_status: Some(14), served_by: Some(long.into_bytes()) };
        assert_eq!(meaning(&block).as_ref(), Ok(&expected));
        for cut in 3..block.len() - 1 {
            assert_ne!(meaning(&block[..cut]).as_ref(), Ok(&expected), "cut at {cut}");
        }
    }

    #[test]
    fn a_status_as_a_huffman_literal_is_read_and_an_index_into_nothing_is_refused() {
        assert_eq!(meaning(&[0x08, 0x82, 0x64, 0x02]).map(|meaning| meaning.status), Ok(Some(302)));
        assert!(meaning(&[0xbe]).is_err());
    }
}
