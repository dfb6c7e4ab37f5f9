//! Content encodings of answers: gzip, deflate, br and zstd are decoded, so that a workflow and the search for secrets see
//! the content.
//!
//! The size of what is decoded is limited while it is decoded: a few kilobytes can stand for gigabytes.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read};

use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderValue, TRANSFER_ENCODING};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The `Accept-Encoding` of requests, unless the workflow sets another.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");

/// The maximum number of encodings that are applied one after the other. Servers use one.
const MOST_ENCODINGS: usize = 2;

/// The maximum window of zstd, by RFC 9659. A decoder needs this much memory.
const ZSTD_WINDOW: u64 = 8 << 20;

/// The buffer of the decoder for br, in bytes.
const BUFFER: usize = 4 << 10;

/// An encoding that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The error of an answer that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// The content has more bytes than permitted.
    #[error("the content has too many bytes")]
    TooLarge,
    /// The bytes are not what `Content-Encoding` says.
    #[error("the answer cannot be decoded as its Content-Encoding says: {0}")]
    Invalid(#[source] io::Error),
}

/// Returns the encodings of an answer in the order in which they were applied. `None` if one of them is unknown, or there
/// are too many.
pub(super) fn encodings(headers: &HeaderMap) -> Option<Vec<Encoding>> {
    let mut encodings = Vec::new();
    // A transfer encoding is applied last. The connection decodes `chunked` alone.
    let values = headers.get_all(CONTENT_ENCODING).into_iter().chain(headers.get_all(TRANSFER_ENCODING));
    for value in values {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            encodings.push(match &*name.to_ascii_lowercase() {
                "" | "identity" | "chunked" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                "br" => Encoding::Brotli,
                "zstd" => Encoding::Zstd,
                _ => return None,
            });
        }
    }
    (encodings.len() <= MOST_ENCODINGS).then_some(encodings)
}

/// Decodes a body. Neither the result nor what lies between two encodings has more than `most` bytes.
///
/// # Errors
/// [`DecodeError`] if it would have, or if the body is damaged.
pub(super) fn decoded(body: &[u8], encodings: &[Encoding], most: usize) -> Result<Vec<u8>, DecodeError> {
    let mut reader: Box<dyn Read + '_> = Box::new(body);
    for encoding in encodings.iter().rev() {
        let decoder: Box<dyn Read + '_> = match encoding {
            Encoding::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Encoding::Deflate => inflate(reader).map_err(failed)?,
            Encoding::Brotli => Box::new(Decompressor::new(reader, BUFFER)),
            Encoding::Zstd => Box::new(Zstd::new(reader)),
        };
        reader = Box::new(Limited { reader: decoder, left: most });
    }
    let mut decoded = Vec::new();
    reader.read_to_end(&mut decoded).map_err(failed)?;
    Ok(decoded)
}

/// Decodes `deflate`, which is zlib by RFC 9110. Some servers send raw deflate.
fn inflate<'b>(mut reader: Box<dyn Read + 'b>) -> io::Result<Box<dyn Read + 'b>> {
    let mut head = [0; 2];
    reader.read_exact(&mut head)?;
    // RFC 1950: the method is 8, and the first two bytes are a multiple of 31.
    let is_zlib = head[0] & 0x0f == 8 && u16::from_be_bytes(head) % 31 == 0;
    let whole = io::Cursor::new(head).chain(reader);
    Ok(if is_zlib { Box::new(ZlibDecoder::new(whole)) } else { Box::new(DeflateDecoder::new(whole)) })
}

/// A reader of zstd, which is one frame after the other.
enum Zstd<R: Read> {
    /// Before the first frame, or after the last one that was read.
    Between(BufReader<R>, FrameDecoder),
    Within(StreamingDecoder<BufReader<R>, FrameDecoder>),
    /// An error has ended it.
    Ended,
}

impl<R: Read> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW);
        Self::Between(BufReader::new(source), decoder)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            *self = match std::mem::replace(self, Self::Ended) {
                Self::Between(mut source, decoder) => {
                    if source.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new_with_decoder(source, decoder);
                    Self::Within(frame.map_err(io::Error::other)?)
                }
                Self::Within(mut frame) => match frame.read(buffer)? {
                    0 if !buffer.is_empty() => {
                        let (source, decoder) = frame.into_parts();
                        Self::Between(source, decoder)
                    }
                    count => {
                        *self = Self::Within(frame);
                        return Ok(count);
                    }
                },
                Self::Ended => return Ok(0),
            };
        }
    }
}

/// A reader that fails once more than `left` bytes have been read.
struct Limited<R> {
    reader: R,
    left: usize,
}

/// The cause of the error of [`Limited`].
#[derive(Debug, thiserror::Error)]
#[error("too many bytes")]
struct Exceeded;

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count).ok_or_else(|| io::Error::other(Exceeded))?;
        Ok(count)
    }
}

fn failed(error: io::Error) -> DecodeError {
    let mut cause = error.get_ref().map(|cause| cause as &(dyn Error + 'static));
    while let Some(error) = cause {
        if error.is::<Exceeded>() {
            return DecodeError::TooLarge;
        }
        cause = error.source();
    }
    DecodeError::Invalid(error)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    type Encode = fn(&[u8]) -> Vec<u8>;

    const MOST: usize = 1 << 20;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(content: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(content: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn brotli(content: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22);
        encoder.write_all(content).unwrap();
        encoder.into_inner()
    }

    /// Each encoding with a function that encodes.
    const ALL: [(Encoding, Encode); 5] = [
        (Encoding::Gzip, gzip),
        (Encoding::Deflate, zlib),
        (Encoding::Deflate, raw_deflate),
        (Encoding::Brotli, brotli),
        (Encoding::Zstd, zstd),
    ];

    #[test]
    fn what_was_encoded_is_decoded_up_to_the_limit() {
        for (encoding, encode) in ALL {
            for content in [b"".as_slice(), b"{\"ok\":true}", &vec![b'x'; MOST]] {
                let body = encode(content);
                assert!(decoded(&body, &[encoding], MOST).unwrap() == content, "{encoding:?}");
                let twice = decoded(&gzip(&body), &[encoding, Encoding::Gzip], MOST).unwrap();
                assert!(twice == content, "{encoding:?}, then gzip");
            }
            let bomb = encode(&vec![b'x'; MOST + 1]);
            let failed = decoded(&bomb, &[encoding], MOST).unwrap_err();
            assert!(matches!(failed, DecodeError::TooLarge), "{encoding:?}: {failed}");
            let inner = decoded(&gzip(&bomb), &[encoding, Encoding::Gzip], bomb.len() - 1).unwrap_err();
            assert!(matches!(inner, DecodeError::TooLarge), "{encoding:?}: {inner}");
        }
    }

    #[test]
    fn members_and_frames_follow_one_another() {
        for (encoding, encode) in [ALL[0], ALL[4]] {
            let body = [encode(b"one "), encode(b"two")].concat();
            assert_eq!(decoded(&body, &[encoding], MOST).unwrap(), b"one two", "{encoding:?}");
        }
    }

    #[test]
    fn a_body_that_is_cut_or_something_else_is_damaged() {
        for (encoding, encode) in ALL {
            let content: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
            let body = encode(&content);
            let cut = decoded(&body[..body.len() / 2], &[encoding], MOST).unwrap_err();
            assert!(matches!(cut, DecodeError::Invalid(_)), "{encoding:?}: {cut}");
            let text = decoded(b"<html>no such thing</html>", &[encoding], MOST).unwrap_err();
            assert!(matches!(text, DecodeError::Invalid(_)), "{encoding:?}: {text}");
        }
    }

    #[test]
    fn a_window_of_zstd_that_needs_much_memory_is_refused() {
        // A frame header: a window of 2^(10 + 17) bytes, and nothing else.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
        let failed = decoded(&frame, &[Encoding::Zstd], MOST).unwrap_err();
        assert!(failed.to_string().contains("window"), "{failed}");
    }

    #[test]
    fn encodings_are_read_from_all_headers_unless_one_is_unknown() {
        let read = |values: &[&'static str]| {
            let headers = values.iter().map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value)));
            encodings(&headers.collect())
        };
        assert_eq!(read(&[]), Some(vec![]));
        assert_eq!(read(&["GZip, identity", "br"]), Some(vec![Encoding::Gzip, Encoding::Brotli]));
        assert_eq!(read(&["gzip, gzip, gzip"]), None);
        assert_eq!(read(&["aws-chunked"]), None);
    }
}
