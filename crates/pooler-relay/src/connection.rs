//! One connection, both ways.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};

use crate::{frames, startup, statements::Statements};

const BUFFER_BYTES: usize = 16 << 10;

/// Passes messages both ways until either end is gone.
pub(crate) async fn run<C, P>(mut client: C, mut pooler: P) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    startup::pass_on(&mut client, &mut pooler).await?;
    let statements = Mutex::new(Statements::default());
    let (mut from_client, mut to_client) = split(client);
    let (mut from_pooler, mut to_pooler) = split(pooler);
    let there = pass(&mut from_client, &mut to_pooler, |frame, to| {
        lock(&statements).pass_on(frame, to)
    });
    let back = pass(&mut from_pooler, &mut to_client, |frame, to| {
        if lock(&statements).is_for_client(frame) {
            frame.write(to);
        }
        Ok(())
    });
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut write: impl FnMut(&frames::Frame, &mut BytesMut) -> io::Result<()>,
) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(BUFFER_BYTES);
    let mut output = BytesMut::with_capacity(BUFFER_BYTES);
    while from.read_buf(&mut input).await? > 0 {
        while let Some(frame) = frames::take(&mut input)? {
            write(&frame, &mut output)?;
        }
        to.write_all_buf(&mut output).await?;
    }
    to.shutdown().await
}

fn lock(statements: &Mutex<Statements>) -> std::sync::MutexGuard<'_, Statements> {
    statements.lock().unwrap_or_else(PoisonError::into_inner)
}
