//! How a connection begins.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::frames::{malformed, read_startup, split_text, write_with};

/// Version 3.0.
const PROTOCOL: u32 = 196_608;
/// The questions whether TLS or GSSAPI is spoken here.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// What PgBouncer takes of a client that connects; of anything else it ends the connection.
const KNOWN: [&str; 7] = [
    "user",
    "database",
    "application_name",
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
];

/// Reads the client's first message, and writes it without what the pooler would refuse.
pub(crate) async fn pass_on<C, P>(client: &mut C, pooler: &mut P) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncWrite + Unpin,
{
    let mut body = read_startup(client).await?;
    while body.len() == 4 && ENCRYPTION.contains(&body.clone().get_u32()) {
        client.write_all(b"N").await?;
        body = read_startup(client).await?;
    }
    let body = without_unknown(&body)?;
    let mut message = BytesMut::new();
    message.put_u32(u32::try_from(body.len() + 4).map_err(|_| malformed())?);
    message.put_slice(&body);
    pooler.write_all(&message).await
}

/// A request to cancel is passed on as it is.
fn without_unknown(body: &Bytes) -> io::Result<Bytes> {
    let mut rest = body.clone();
    if rest.len() < 4 || rest.get_u32() != PROTOCOL {
        return Ok(body.clone());
    }
    let mut kept = BytesMut::new();
    kept.put_u32(PROTOCOL);
    while rest.first().is_some_and(|byte| *byte != 0) {
        let (name, after) = split_text(&rest)?;
        let (value, after) = split_text(&after)?;
        if KNOWN
            .iter()
            .any(|known| known.as_bytes().eq_ignore_ascii_case(&name))
        {
            for text in [name, value] {
                kept.put_slice(&text);
                kept.put_u8(0);
            }
        }
        rest = after;
    }
    kept.put_u8(0);
    Ok(kept.freeze())
}

/// Tells a client why the pooler cannot be reached, as a server would that is starting: come again.
pub(crate) async fn refuse(client: &mut UnixStream, error: &io::Error) -> io::Result<()> {
    let message = format!("cannot reach the pooler: {error}");
    let mut answer = BytesMut::new();
    let fields: [&[u8]; 4] = [b"SFATAL\0", b"VFATAL\0", b"C57P03\0M", message.as_bytes()];
    write_with(&mut answer, b'E', &[&fields.concat(), b"\0\0"]);
    read_startup(client).await?;
    client.write_all(&answer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_the_pooler_refuses() {
        let sent =
            b"\0\x03\0\0user\0ada\0options\0-c a=b\0TimeZone\0UTC\0extra_float_digits\x002\0\0";

        let kept = without_unknown(&Bytes::from_static(sent)).unwrap();

        assert_eq!(&kept[..], b"\0\x03\0\0user\0ada\0TimeZone\0UTC\0\0");
    }

    #[test]
    fn passes_a_cancel_request_on() {
        let sent = Bytes::from_static(b"\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02");

        assert_eq!(without_unknown(&sent).unwrap(), sent);
    }
}
