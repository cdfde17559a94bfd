//! Which models an account has, and with how many records.

use merge_client::catalogue::{self, Category, Model, models};

use crate::dice::Dice;
use crate::options::{AccountPlan, Outcome};

/// A plan names a model that its category does not have.
#[derive(Debug, thiserror::Error)]
#[error("the plan names `{model_id}`, which is no model of category {category}")]
pub struct PlanError {
    model_id: String,
    category: Category,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedModel {
    /// The model's place in its category.
    pub(super) index: usize,
    pub(super) records: u32,
    pub(super) outcome: Outcome,
}

/// The models of an account in the catalogue's order. Their records add up to `records_per_account` exactly, unless
/// `records` names more than that.
pub(super) fn planned(
    category: Category,
    plan: &AccountPlan,
) -> Result<Vec<PlannedModel>, PlanError> {
    let mut chosen: Vec<usize> = match &plan.models {
        None => (0..models(category).len()).collect(),
        Some(ids) => ids
            .iter()
            .map(|id| index_of(category, id))
            .collect::<Result<_, _>>()?,
    };
    chosen.sort_unstable();
    chosen.dedup();
    let mut planned: Vec<_> = chosen
        .into_iter()
        .map(|index| PlannedModel {
            index,
            records: 0,
            outcome: Outcome::Done,
        })
        .collect();

    for (id, outcome) in &plan.outcomes {
        let index = index_of(category, id)?;
        for model in planned.iter_mut().filter(|model| model.index == index) {
            model.outcome = *outcome;
        }
    }
    let mut fixed = Vec::new();
    for (id, records) in &plan.records {
        let index = index_of(category, id)?;
        for model in planned.iter_mut().filter(|model| model.index == index) {
            model.records = *records;
            fixed.push(index);
        }
    }
    spread(category, plan.records_per_account, &fixed, &mut planned);
    Ok(planned)
}

/// Spreads what is left of `total` over the models without a number of their own: some models are large, some small.
fn spread(category: Category, total: u32, fixed: &[usize], planned: &mut [PlannedModel]) {
    let taken: u32 = planned.iter().map(|model| model.records).sum();
    let left = u64::from(total.saturating_sub(taken));
    let mut free: Vec<_> = planned
        .iter_mut()
        .filter(|model| !fixed.contains(&model.index) && model.outcome.syncs())
        .map(|model| (weight(&models(category)[model.index]), model))
        .collect();
    let weights: u64 = free.iter().map(|(weight, _)| weight).sum();

    let mut given = 0;
    for (weight, model) in &mut free {
        let share = left * *weight / weights;
        model.records = u32::try_from(share).unwrap_or(u32::MAX);
        given += share;
    }
    for place in 0..left.saturating_sub(given) {
        let Some(length) = (!free.is_empty()).then_some(free.len() as u64) else {
            return;
        };
        let place = usize::try_from(place % length).unwrap_or(0);
        free[place].1.records += 1;
    }
}

/// 1 to 12, always the same for a model.
fn weight(model: &Model) -> u64 {
    1 + Dice::new(0).named(model.model_id).below(12)
}

fn index_of(category: Category, model_id: &str) -> Result<usize, PlanError> {
    let unknown = || PlanError {
        model_id: model_id.to_owned(),
        category,
    };
    let model = catalogue::find(model_id).ok_or_else(unknown)?;
    models(category)
        .iter()
        .position(|other| other.model_id == model.model_id)
        .ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_add_up_exactly(total in 0..30_000_u32, category in 0..10_usize) {
            let plan = AccountPlan { records_per_account: total, ..AccountPlan::default() };

            let planned = planned(Category::ALL[category], &plan).unwrap();

            prop_assert_eq!(planned.iter().map(|model| model.records).sum::<u32>(), total);
        }
    }

    #[test]
    fn a_plan_chooses_models_numbers_and_outcomes() {
        let plan = AccountPlan {
            models: Some(vec!["hris.employees".to_owned(), "hris.Team".to_owned()]),
            records_per_account: 100,
            records: [("hris.Employee".to_owned(), 70)].into(),
            outcomes: [("hris.Team".to_owned(), Outcome::PartiallySynced)].into(),
            is_production: true,
        };

        let planned = planned(Category::HRIS, &plan).unwrap();

        let found: Vec<_> = planned
            .iter()
            .map(|model| (model.records, model.outcome))
            .collect();
        assert_eq!(found, [(70, Outcome::Done), (30, Outcome::PartiallySynced)]);
    }

    #[test]
    fn a_model_of_another_category_is_refused() {
        let plan = AccountPlan {
            models: Some(vec!["ats.Job".to_owned()]),
            ..AccountPlan::default()
        };

        assert!(planned(Category::HRIS, &plan).is_err());
    }
}
