//! How a linked account stands: what was read of it, and whether anything was left out.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use store::AccountId;
use store::fetch_windows::{self, ClosedWindow, Verdict};
use store::linked_accounts::{AccountStatus, LinkedAccount};
use store::model_syncs::{self, ModelSync};

use super::words::{plural, stamp};

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
pub fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::NeverRead => "never read".to_owned(),
        Verdict::Contiguous { since, windows, .. } => {
            let windows = plural(windows.unsigned_abs().into(), "window");
            format!("contiguous since {}, {windows}", stamp(*since))
        }
        Verdict::Gap { from, to } => {
            let from = from.map_or_else(|| "the beginning".to_owned(), stamp);
            format!("GAP from {from} to {}", stamp(*to))
        }
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
pub fn sentence(account: &LinkedAccount, proofs: &[Proof]) -> String {
    match account.status {
        AccountStatus::Pending => {
            return "Linking was begun; the customer has not finished it yet.".to_owned();
        }
        AccountStatus::Deleting => return "It is being deleted.".to_owned(),
        AccountStatus::RelinkNeeded => {
            let why = account.last_error.as_deref();
            let why = why.map_or_else(String::new, |why| format!("{why}. "));
            return format!(
                "{why}The customer has to sign in again at their system: your product asks for a new link token \
                 (relink-integration) and opens the dialog with it. What Merge has is still read."
            );
        }
        AccountStatus::Error => {
            let why = account
                .last_error
                .as_deref()
                .unwrap_or("no reason is known");
            return format!(
                "Merge does not accept us for it ({why}); it is tried again, ever more rarely."
            );
        }
        AccountStatus::Active => {}
    }
    let gaps = proofs
        .iter()
        .filter(|(_, (verdict, _))| matches!(verdict, Verdict::Gap { .. }))
        .count();
    let is_behind = |model: &ModelSync| {
        model.refusal.is_none() && model.fetched_through < model.available_through
    };
    let behind = proofs.iter().filter(|(model, _)| is_behind(model)).count();
    match (gaps, behind) {
        (0, 0) if proofs.is_empty() => "It is linked; Merge was not asked yet.".to_owned(),
        (0, 0) => {
            "In step: all that Merge has finished is stored, and nothing was left out.".to_owned()
        }
        (0, behind) => format!(
            "Nothing was left out; {behind} of {} models have news to be read.",
            proofs.len()
        ),
        (gaps, _) => format!(
            "{gaps} of {} models have a gap: read everything again to mend it.",
            proofs.len()
        ),
    }
}
