//! How a linked account stands: what was read of it, and whether anything was left out.

use chrono::{DateTime, TimeDelta, Utc};
use phrases::{Part, Phrase, mark, plural, say};
use sqlx::PgConnection;
use store::AccountId;
use store::fetch_windows::{self, ClosedWindow, Verdict};
use store::linked_accounts::{AccountStatus, LinkedAccount};
use store::model_syncs::{self, ModelSync};

/// A model with the proof that nothing of it was left out, and the newest windows that were read.
pub type Proof = (ModelSync, (Verdict, Vec<ClosedWindow>));

/// The proofs of all models of an account, with so many windows of each.
///
/// # Errors
/// Those of the store.
pub async fn prove(
    conn: &mut PgConnection,
    id: AccountId,
    windows: usize,
) -> Result<Vec<Proof>, store::Error> {
    let mut proofs = Vec::new();
    for model in model_syncs::list(conn, id).await? {
        let mark = model.fetched_through;
        let proof = fetch_windows::prove(conn, id, &model.model_id, mark, windows).await?;
        proofs.push((model, proof));
    }
    Ok(proofs)
}

/// A proof in words.
pub fn told(verdict: &Verdict) -> Phrase {
    match verdict {
        Verdict::NeverRead => say!("never read"),
        Verdict::Contiguous { since, windows, .. } => plural!(
            "contiguous since {since}, {windows} window",
            "contiguous since {since}, {windows} windows",
            windows = windows.unsigned_abs(),
            since = stamp(*since)
        ),
        Verdict::Gap { from, to } => say!(
            "GAP from {from} to {to}",
            from = from.map_or(say!("the beginning").into(), stamp),
            to = stamp(*to)
        ),
    }
}

/// A time, in UTC as everything.
pub fn stamp(at: DateTime<Utc>) -> Part {
    Part::Time {
        at,
        pattern: mark!("%Y-%m-%d %H:%M:%S"),
    }
}

/// How far a model is behind what Merge has finished; `None` when it is not.
pub fn behind(model: &ModelSync, now: DateTime<Utc>) -> Option<TimeDelta> {
    let behind = match (model.fetched_through, model.available_through) {
        (Some(fetched), Some(available)) => available - fetched,
        (None, Some(available)) => now - available,
        (_, None) => TimeDelta::zero(),
    };
    (behind > TimeDelta::zero() && model.refusal.is_none()).then_some(behind)
}

/// How the account is, in one sentence.
pub fn sentence(account: &LinkedAccount, proofs: &[Proof]) -> Phrase {
    match account.status {
        AccountStatus::Pending => {
            return say!("Linking was begun; the customer has not finished it yet.");
        }
        AccountStatus::Deleting => return say!("It is being deleted."),
        AccountStatus::RelinkNeeded => {
            let advice = say!(
                "The customer has to sign in again at their system: your product asks for a new link token (relink-integration) and opens the dialog with it. What Merge has is still read."
            );
            return match &account.last_error {
                Some(why) => say!("{why}. {advice}", why, advice),
                None => advice,
            };
        }
        AccountStatus::Error => {
            let why = account.last_error.as_ref();
            return say!(
                "Merge does not accept us for it ({why}); it is tried again, ever more rarely.",
                why = why.map_or(say!("no reason is known").into(), Part::from)
            );
        }
        AccountStatus::Active => {}
    }
    let gaps = proofs
        .iter()
        .filter(|(_, (verdict, _))| matches!(verdict, Verdict::Gap { .. }))
        .count() as u64;
    let is_behind = |model: &ModelSync| {
        model.refusal.is_none() && model.fetched_through < model.available_through
    };
    let behind = proofs.iter().filter(|(model, _)| is_behind(model)).count() as u64;
    let all = proofs.len() as u64;
    match (gaps, behind) {
        (0, 0) if proofs.is_empty() => say!("It is linked; Merge was not asked yet."),
        (0, 0) => {
            say!("In step: all that Merge has finished is stored, and nothing was left out.")
        }
        (0, behind) => say!(
            "Nothing was left out; {behind} of {all} models have news to be read.",
            behind,
            all
        ),
        (gaps, _) => say!(
            "{gaps} of {all} models have a gap: read everything again to mend it.",
            gaps,
            all
        ),
    }
}
