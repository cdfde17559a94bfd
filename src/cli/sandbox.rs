use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use merge_sandbox::{AccountPlan, Options, Sandbox, Schedule, WebhookOptions, WebhookTarget};
use url::Url;

use super::stop;
use crate::config::Telemetry;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// The API key that callers must send.
    #[arg(long, default_value = "sandbox-api-key")]
    api_key: String,
    /// The same seed gives the same ids, tokens and records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests per account in any rolling minute; 0 for no limit.
    #[arg(long, value_name = "N", default_value_t = 100)]
    requests_per_minute: u32,
    /// Records of an account after its first sync.
    #[arg(long, value_name = "N", default_value_t = 200)]
    records: u32,
    /// How long a first sync takes.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    initial_sync: Duration,
    /// From the start of one sync to the start of the next; 0s for the first one only.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    sync_interval: Duration,
    /// Records that change with each later sync.
    #[arg(long, value_name = "N", default_value_t = 20)]
    changes: u32,
    /// Where webhooks go, such as http://127.0.0.1:8080/api/webhooks/merge.
    #[arg(long, value_name = "URL", requires = "webhook_key")]
    webhook_url: Option<Url>,
    /// The key that webhooks are signed with.
    #[arg(long, value_name = "KEY", requires = "webhook_url")]
    webhook_key: Option<String>,
}

/// Runs the simulated Merge until it is told to stop.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::init_logs(&Telemetry::for_people("info"));
    let stop = stop::on_signal()?;
    let running = Sandbox::start(options(args))
        .await
        .context("cannot start the sandbox")?;
    writeln!(io::stdout().lock(), "{}", running.base_url())?;
    stop.cancelled().await;
    running.stop().await;
    Ok(())
}

fn options(args: Args) -> Options {
    let target = args
        .webhook_url
        .zip(args.webhook_key)
        .map(|(url, key)| WebhookTarget { url, key });
    Options {
        listen: args.listen,
        api_key: args.api_key,
        seed: args.seed,
        requests_per_minute: (args.requests_per_minute > 0).then_some(args.requests_per_minute),
        schedule: Schedule {
            initial_sync_duration: args.initial_sync,
            sync_interval: (!args.sync_interval.is_zero()).then_some(args.sync_interval),
            changes_per_sync: args.changes,
            ..Schedule::default()
        },
        plan: AccountPlan {
            records_per_account: args.records,
            ..AccountPlan::default()
        },
        webhooks: WebhookOptions {
            target,
            ..WebhookOptions::default()
        },
        ..Options::default()
    }
}
