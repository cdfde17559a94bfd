//! Every change that people can make, and the role that it needs.

use std::fmt;

use super::Role;

/// Declares the deeds: variant, name in the audit log, role.
macro_rules! deeds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $role:ident;)*) => {
        /// A change that somebody makes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Deed {
            $($(#[$doc])* $variant,)*
        }

        impl Deed {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the audit log.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The least role that may do it.
            pub const fn needs(self) -> Role {
                match self {
                    $(Self::$variant => Role::$role,)*
                }
            }
        }
    };
}

deeds! {
    /// Run an ended job again.
    JobRetry = "job.retry", Operator;
    /// Let a waiting job start at once.
    JobRetryNow = "job.retry_now", Operator;
    /// Put a waiting job off.
    JobSnooze = "job.snooze", Operator;
    /// Change time and priority of a waiting job.
    JobEdit = "job.edit", Operator;
    /// End a waiting job, stop a running one.
    JobCancel = "job.cancel", Operator;
    /// Remove a job for good.
    JobDelete = "job.delete", Admin;
    /// Call a group of dead jobs resolved.
    GroupResolve = "group.resolve", Operator;
    /// Take that back.
    GroupReopen = "group.reopen", Operator;
    /// Retry all jobs of a filter.
    BulkRetry = "bulk.retry", Operator;
    /// Let all waiting jobs of a filter start at once.
    BulkRetryNow = "bulk.retry_now", Operator;
    /// Cancel all jobs of a filter.
    BulkCancel = "bulk.cancel", Operator;
    /// Delete all jobs of a filter.
    BulkDelete = "bulk.delete", Admin;
    /// End a bulk action before its end.
    BulkStop = "bulk.stop", Operator;
    /// Pause a queue, a kind, a lane, an organization or everything.
    Pause = "pause", Operator;
    /// Resume it.
    Resume = "resume", Operator;
    /// Compare the counts of jobs with a look at all of them, and put right what differs.
    CountsCheck = "queue.check_counts", Operator;
    /// Let a worker start nothing more.
    WorkerQuiet = "worker.quiet", Operator;
    /// Let it work again.
    WorkerWork = "worker.work", Operator;
    /// End a worker's process.
    WorkerDrain = "worker.drain", Admin;
    /// Run a schedule's job now.
    ScheduleRun = "schedule.run", Operator;
    /// Pause a schedule.
    SchedulePause = "schedule.pause", Operator;
    /// Resume it.
    ScheduleResume = "schedule.resume", Operator;
    /// Put another expression or time zone in the place of what the code declares.
    ScheduleEdit = "schedule.edit", Admin;
    /// Take every edit back.
    ScheduleReset = "schedule.reset", Admin;
    /// Have a delivery judged once more.
    WebhookReplay = "webhook.replay", Operator;
    /// Ask Merge now how far an account is.
    AccountPoll = "account.poll", Operator;
    /// Read again what changed lately.
    AccountSweep = "account.resync_incremental", Operator;
    /// Read everything again, and have Merge do so; Merge may charge for it.
    AccountResync = "account.resync_full", Admin;
    /// Delete an account, at Merge and here.
    AccountDelete = "account.delete", Admin;
    /// Add a user.
    UserAdd = "user.add", Admin;
    /// Remove a user.
    UserRemove = "user.remove", Admin;
    /// Give a user another password.
    UserPassword = "user.password", Admin;
    /// Make an API key.
    KeyCreate = "key.create", Admin;
    /// Withdraw an API key for good.
    KeyRevoke = "key.revoke", Admin;
    /// Begin a session.
    LogIn = "session.login", Viewer;
    /// End it.
    LogOut = "session.logout", Viewer;
}

impl Deed {
    /// What it is done to, in the plural, as addresses and the command line name it.
    pub fn noun(self) -> String {
        match self.as_str().split_once('.') {
            None => "queues".to_owned(),
            Some(("group", _)) => "dead".to_owned(),
            Some(("bulk", _)) => "bulk".to_owned(),
            Some((noun, _)) => format!("{noun}s"),
        }
    }

    /// What is done, the same way.
    pub fn verb(self) -> String {
        let name = self.as_str();
        let verb = name.split_once('.').map_or(name, |(_, verb)| verb);
        verb.replace('_', "-")
    }

    /// Where the API does it, by the rule that `job.retry_now` is `/api/ops/jobs/{id}/retry-now`; the console's form is
    /// at the same place below `/console`. `None` for the deeds of a session, which only the console has.
    pub fn api_path(self) -> Option<String> {
        let (noun, verb) = (self.noun(), self.verb());
        let place = match (&*noun, self) {
            ("sessions", _) => return None,
            // Those that begin have no id yet; what is to be done the body says.
            (_, Self::UserAdd | Self::KeyCreate) => return Some(format!("/api/ops/{noun}")),
            ("bulk", deed) if deed != Self::BulkStop => return Some(format!("/api/ops/{noun}")),
            ("queues", _) => noun,
            ("dead", _) => format!("{noun}/{{fingerprint}}"),
            ("users" | "schedules", _) => format!("{noun}/{{name}}"),
            _ => format!("{noun}/{{id}}"),
        };
        Some(format!("/api/ops/{place}/{verb}"))
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_may_come_and_go_and_only_an_admin_may_destroy() {
        let of_viewers = |deed: &&Deed| deed.needs() == Role::Viewer;
        let viewers: Vec<_> = Deed::ALL.iter().filter(of_viewers).collect();
        assert_eq!(viewers, [&Deed::LogIn, &Deed::LogOut]);
        for deed in Deed::ALL {
            let name = deed.as_str();
            let gives_access = name.starts_with("user.") || name.starts_with("key.");
            if name.contains("delete") || gives_access {
                assert_eq!(deed.needs(), Role::Admin, "{deed}");
            }
        }
    }

    #[test]
    fn an_address_follows_from_the_name() {
        let path = |deed: Deed| deed.api_path().unwrap_or_default();
        assert_eq!(path(Deed::JobRetryNow), "/api/ops/jobs/{id}/retry-now");
        assert_eq!(
            path(Deed::GroupResolve),
            "/api/ops/dead/{fingerprint}/resolve"
        );
        assert_eq!(path(Deed::ScheduleRun), "/api/ops/schedules/{name}/run");
        assert_eq!(path(Deed::Pause), "/api/ops/queues/pause");
        assert_eq!(path(Deed::UserAdd), "/api/ops/users");
        assert_eq!(path(Deed::BulkRetryNow), "/api/ops/bulk");
        assert_eq!(path(Deed::BulkStop), "/api/ops/bulk/{id}/stop");
        let without: Vec<_> = Deed::ALL
            .iter()
            .filter(|deed| deed.api_path().is_none())
            .collect();
        assert_eq!(without, [&Deed::LogIn, &Deed::LogOut]);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Deed::ALL.iter().map(|deed| deed.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Deed::ALL.len());
    }
}
