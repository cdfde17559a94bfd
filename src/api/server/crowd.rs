//! The connections there are, and which of them gives way when one more comes than there is room for.
//!
//! Someone can hold thousands of connections open for nothing, by never ending their headers, or a body, or by never
//! reading an answer. A limit alone would let them keep everybody else out. So when all places are taken, the one goes that
//! has been there longest among those that keep us waiting; first among those who never brought a whole request, so that
//! a customer's idle connections go last. A request that we are working on is never given up.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All connections, in the order in which they came.
#[derive(Debug)]
pub(super) struct Crowd {
    places: usize,
    present: Mutex<Present>,
    somebody_can_go: Notify,
}

#[derive(Debug, Default)]
struct Present {
    last: u64,
    guests: BTreeMap<u64, Arc<State>>,
}

/// What we know of one.
#[derive(Debug, Default)]
struct State {
    /// A whole request is here, and its answer is not ready yet.
    is_our_turn: AtomicBool,
    was_answered: AtomicBool,
    must_leave: CancellationToken,
}

impl Crowd {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            present: Mutex::default(),
            somebody_can_go: Notify::new(),
        })
    }

    /// A place for one more; waits only while each of the others has a request that is being worked on.
    pub(super) async fn admit(self: &Arc<Self>) -> Guest {
        loop {
            if let Some(guest) = self.try_admit() {
                return guest;
            }
            self.somebody_can_go.notified().await;
        }
    }

    fn try_admit(self: &Arc<Self>) -> Option<Guest> {
        let mut present = self.present();
        if present.guests.len() >= self.places {
            let leaving = present.who_gives_way()?;
            if let Some(state) = present.guests.remove(&leaving) {
                state.must_leave.cancel();
                tracing::debug!("all places are taken: a connection that kept us waiting is cut");
            }
        }
        present.last += 1;
        let (number, state) = (present.last, Arc::<State>::default());
        present.guests.insert(number, Arc::clone(&state));
        Some(Guest {
            crowd: Arc::clone(self),
            number,
            state,
        })
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        // Nothing panics while it is held.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    fn who_gives_way(&self) -> Option<u64> {
        let waiting = || {
            let guests = self.guests.iter();
            guests.filter(|(_, state)| !state.is_our_turn.load(Ordering::Relaxed))
        };
        let never_answered =
            waiting().find(|(_, state)| !state.was_answered.load(Ordering::Relaxed));
        never_answered
            .or_else(|| waiting().next())
            .map(|(number, _)| *number)
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    crowd: Arc<Crowd>,
    number: u64,
    state: Arc<State>,
}

impl Guest {
    /// Resolves when another needs the place more.
    pub(super) async fn must_leave(&self) {
        self.state.must_leave.cancelled().await;
    }

    /// To be told of its requests.
    pub(super) fn turns(&self) -> Turns {
        Turns {
            crowd: Arc::clone(&self.crowd),
            state: Arc::clone(&self.state),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.crowd.present().guests.remove(&self.number);
        self.crowd.somebody_can_go.notify_one();
    }
}

/// Whose turn it is on a connection.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    crowd: Arc<Crowd>,
    state: Arc<State>,
}

impl Turns {
    /// The body of a request that has begun; with its end it is our turn.
    pub(super) fn body<B: Body>(&self, body: B) -> Arriving<B> {
        if body.is_end_stream() {
            self.take_over();
        }
        Arriving {
            body,
            turns: self.clone(),
        }
    }

    /// There is an answer; the rest is up to the other side.
    pub(super) fn hand_back(&self) {
        self.state.was_answered.store(true, Ordering::Relaxed);
        self.state.is_our_turn.store(false, Ordering::Relaxed);
        self.crowd.somebody_can_go.notify_one();
    }

    fn take_over(&self) {
        self.state.is_our_turn.store(true, Ordering::Relaxed);
    }
}

/// A body that tells when it is complete.
#[derive(Debug)]
pub(super) struct Arriving<B> {
    body: B,
    turns: Turns,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.turns.take_over();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
