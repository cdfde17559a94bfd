use super::answer::{Answer, Look};
use super::desk::Desk;
use super::exit::Missing;
use crate::config::Config;
use crate::ops::search::Found;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An id of whatever: of a job, an account (ours, Merge's, or our name of it there), a delivery, a bulk action, a
    /// worker, an organization; or an account's lane.
    id: String,
    #[command(flatten)]
    look: Look,
}

/// Says what an id is of, and the command that shows it.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    let look = async || {
        let found = desk.ops.search(&args.id).await?;
        let found =
            found.ok_or_else(|| Missing(format!("{} here, or it is kept no longer", args.id)))?;
        let mut json = serde_json::to_value(&found)?;
        json["command"] = command(&found).into();
        Answer::new(format!("{}\n", command(&found)), &json)
    };
    args.look.show(look).await
}

fn command(found: &Found) -> String {
    match found {
        Found::Job(id) => format!("syncline jobs show {id}"),
        Found::Account(id) => format!("syncline accounts show {id}"),
        Found::Webhook(id) => format!("syncline webhooks show {id}"),
        Found::Bulk(id) => format!("syncline jobs bulk show {id}"),
        Found::Worker(id) => format!("syncline jobs list --worker {id}"),
        Found::Organization(name) => {
            let quoted = name.replace('\'', r"'\''");
            format!("syncline accounts list --organization '{quoted}'")
        }
    }
}
