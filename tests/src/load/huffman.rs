//! HPACK's Huffman code (RFC 7541, appendix B). The code is canonical: its lengths alone define it. Decodes only.

use std::sync::LazyLock;

/// The length of each byte's code; the last is the end of a string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// For each length: its first code, and the symbols that have it, in order.
static CODE: LazyLock<Vec<(u32, Vec<u16>)>> = LazyLock::new(|| {
    let mut code = 0;
    (0..=30_u8)
        .map(|length| {
            code <<= 1;
            let symbols: Vec<u16> = (0..257_u16).filter(|symbol| LENGTHS[usize::from(*symbol)] == length).collect();
            let first = code;
            code += symbols.len() as u32;
            (first, symbols)
        })
        .collect()
});

/// The string that was encoded; none when that is no such string.
pub(super) fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(encoded.len() * 2);
    let (mut code, mut length) = (0_u32, 0_usize);
    for bit in encoded.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        let (first, symbols) = CODE.get(length)?;
        if let Some(symbol) = code.checked_sub(*first).and_then(|place| symbols.get(place as usize)) {
            // The end-of-string symbol must not occur.
            text.push(u8::try_from(*symbol).ok()?);
            (code, length) = (0, 0);
        }
    }
    // The padding is less than a byte of ones.
    (length < 8 && code == (1 << length) - 1).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let host = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decode(&host).as_deref(), Some(b"www.example.com".as_slice()));
        assert_eq!(decode(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).as_deref(), Some(b"no-cache".as_slice()));
        assert_eq!(decode(&[0x64, 0x02]).as_deref(), Some(b"302".as_slice()));
        assert_eq!(decode(&[0x07]).as_deref(), Some(b"0".as_slice()));
        assert_eq!(decode(&[0x00]), None, "padding must be ones");
    }
}
