//! What a client has prepared, and what the server has yet to say about it.
//!
//! All statements travel unnamed. The server forgets an unnamed statement, or never knew it, as soon as an
//! exchange is over: so what an exchange uses, it prepares.

use std::{
    collections::{HashMap, VecDeque},
    io,
};

use bytes::{Bytes, BytesMut};

use crate::frames::{Frame, split_text, write_with};

/// An answer of the server that the relay waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// That the client's own statement was parsed.
    Parsed,
    /// That a statement was parsed which the relay prepared again: not for the client.
    ParsedAgain,
    /// The end of an exchange.
    Ready,
}

#[derive(Debug, Default)]
pub(crate) struct Statements {
    /// By the client's name for it, the text and the types of its parameters.
    prepared: HashMap<Bytes, Bytes>,
    /// The client's name for what is the unnamed statement in this exchange.
    current: Option<Bytes>,
    awaited: VecDeque<Awaited>,
}

impl Statements {
    /// Writes a message of the client as the server is to see it.
    pub(crate) fn pass_on(&mut self, frame: &Frame, to: &mut BytesMut) -> io::Result<()> {
        match frame.letter {
            b'P' => {
                let (name, statement) = split_text(&frame.body)?;
                write_with(to, b'P', &[b"\0", &statement]);
                self.prepared.insert(name.clone(), statement);
                self.current = Some(name);
                self.awaited.push_back(Awaited::Parsed);
            }
            b'B' => {
                let (portal, rest) = split_text(&frame.body)?;
                let (name, rest) = split_text(&rest)?;
                self.prepare(name, to);
                write_with(to, b'B', &[&portal, b"\0\0", &rest]);
            }
            b'D' if frame.body.starts_with(b"S") => {
                let (name, _) = split_text(&frame.body.slice(1..))?;
                self.prepare(name, to);
                write_with(to, b'D', &[b"S\0"]);
            }
            b'C' if frame.body.starts_with(b"S") => {
                let (name, _) = split_text(&frame.body.slice(1..))?;
                self.prepared.remove(&name);
                frame.write(to);
            }
            // Each ends an exchange: Sync, Query, FunctionCall.
            b'S' | b'Q' | b'F' => {
                self.current = None;
                self.awaited.push_back(Awaited::Ready);
                frame.write(to);
            }
            _ => frame.write(to),
        }
        Ok(())
    }

    /// Makes a statement the unnamed one of this exchange. One that was never prepared is left to the server
    /// to complain about.
    fn prepare(&mut self, name: Bytes, to: &mut BytesMut) {
        if self.current.as_ref() == Some(&name) {
            return;
        }
        if let Some(statement) = self.prepared.get(&name) {
            write_with(to, b'P', &[b"\0", statement]);
            self.awaited.push_back(Awaited::ParsedAgain);
            self.current = Some(name);
        }
    }

    /// Whether a message of the server is for the client.
    pub(crate) fn is_for_client(&mut self, frame: &Frame) -> bool {
        match frame.letter {
            b'1' => self.awaited.pop_front() != Some(Awaited::ParsedAgain),
            b'Z' => {
                // After an error, what was awaited before the end of the exchange never comes.
                while self
                    .awaited
                    .pop_front()
                    .is_some_and(|awaited| awaited != Awaited::Ready)
                {}
                true
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(letter: u8, body: &'static [u8]) -> Frame {
        Frame {
            letter,
            body: Bytes::from_static(body),
        }
    }

    /// Letters and bodies of what the server sees.
    fn sent(statements: &mut Statements, frames: &[Frame]) -> Vec<(char, String)> {
        let mut to = BytesMut::new();
        for frame in frames {
            statements.pass_on(frame, &mut to).unwrap();
        }
        let frames = std::iter::from_fn(|| crate::frames::take(&mut to).unwrap());
        frames
            .map(|frame| {
                let body = String::from_utf8_lossy(&frame.body).replace('\0', "|");
                (char::from(frame.letter), body)
            })
            .collect()
    }

    fn seen(statements: &mut Statements, letters: &str) -> String {
        let is_seen = |letter: &char| {
            let letter = u8::try_from(*letter).unwrap();
            statements.is_for_client(&frame(letter, b""))
        };
        letters.chars().filter(is_seen).collect()
    }

    const PARSE: &[u8] = b"s1\0SELECT 1\0\0\0";
    const BIND: &[u8] = b"\0s1\0\0\0\0\0\0\0";

    #[test]
    fn a_later_exchange_prepares_again_and_the_client_does_not_notice() {
        let mut statements = Statements::default();

        let first = sent(
            &mut statements,
            &[frame(b'P', PARSE), frame(b'D', b"Ss1\0"), frame(b'S', b"")],
        );
        let second = sent(&mut statements, &[frame(b'B', BIND), frame(b'S', b"")]);

        let letters = |frames: &[(char, String)]| frames.iter().map(|f| f.0).collect::<String>();
        assert_eq!(letters(&first), "PDS");
        assert_eq!(first[0].1, "|SELECT 1|||");
        assert_eq!(first[1].1, "S|");
        assert_eq!(letters(&second), "PBS");
        assert_eq!(second[0].1, "|SELECT 1|||");
        assert_eq!(second[1].1, "||||||||");
        assert_eq!(seen(&mut statements, "1tTZ12CZ"), "1tTZ2CZ");
    }

    #[test]
    fn one_exchange_prepares_once() {
        let mut statements = Statements::default();

        let all = [
            frame(b'P', PARSE),
            frame(b'B', BIND),
            frame(b'B', BIND),
            frame(b'S', b""),
        ];
        let sent = sent(&mut statements, &all);

        assert_eq!(sent.iter().filter(|frame| frame.0 == 'P').count(), 1);
    }

    #[test]
    fn after_an_error_the_next_exchange_is_heard_whole() {
        let mut statements = Statements::default();
        sent(&mut statements, &[frame(b'P', PARSE), frame(b'S', b"")]);
        sent(&mut statements, &[frame(b'B', BIND), frame(b'S', b"")]);
        sent(&mut statements, &[frame(b'P', PARSE), frame(b'S', b"")]);

        // The statement that was prepared again failed: its "parsed" never comes.
        assert_eq!(seen(&mut statements, "1ZEZ1Z"), "1ZEZ1Z");
    }
}
