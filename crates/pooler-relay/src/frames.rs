//! Messages of Postgres' protocol, as far as the relay must know them.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longer than any message of sense; Postgres' own limit.
const MAX_BYTES: usize = 1 << 30;

/// A message: its letter and its body, without the length.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) letter: u8,
    pub(crate) body: Bytes,
}

impl Frame {
    /// Appends the message as it goes over the wire.
    pub(crate) fn write(&self, to: &mut BytesMut) {
        write_with(to, self.letter, &[&self.body]);
    }
}

/// Appends a message whose body comes in parts.
pub(crate) fn write_with(to: &mut BytesMut, letter: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    to.put_u8(letter);
    to.put_u32(u32::try_from(length + 4).unwrap_or(u32::MAX));
    for part in parts {
        to.put_slice(part);
    }
}

/// The next whole message of a buffer, if it is there.
pub(crate) fn take(buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
    let Some((letter, length)) = buffer.first().zip(buffer.get(1..5)) else {
        return Ok(None);
    };
    let letter = *letter;
    let length = length_of(length)?;
    if buffer.len() < 1 + length {
        buffer.reserve(1 + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(5);
    let body = buffer.split_to(length - 4).freeze();
    Ok(Some(Frame { letter, body }))
}

/// The first message of a connection, which has no letter.
pub(crate) async fn read_startup(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let mut body = vec![0; length_of(&length)?.min(1 << 16) - 4];
    from.read_exact(&mut body).await?;
    Ok(body.into())
}

fn length_of(bytes: &[u8]) -> io::Result<usize> {
    let bytes = bytes.try_into().map_err(|_| malformed())?;
    let length = usize::try_from(u32::from_be_bytes(bytes)).map_err(|_| malformed())?;
    if (4..=MAX_BYTES).contains(&length) {
        Ok(length)
    } else {
        Err(malformed())
    }
}

/// Splits a text that ends with a zero off a body.
pub(crate) fn split_text(body: &Bytes) -> io::Result<(Bytes, Bytes)> {
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(malformed)?;
    Ok((body.slice(..end), body.slice(end + 1..)))
}

pub(crate) fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not Postgres' protocol")
}
