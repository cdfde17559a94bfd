//! `demo --incident`: what it breaks, somebody finds with the console alone. Step by step as in docs/operating.md.

use std::process::Stdio;
use std::time::Duration;

use test_support::TestDatabase;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use super::binary::syncline;

/// Longest wait for the demo to say that all is broken.
const PATIENCE: Duration = Duration::from_mins(5);

/// A running demo, and its output so far.
struct Demo {
    child: Child,
    output: String,
}

impl Demo {
    /// Starts it, and waits until all is broken.
    async fn start(folder: &std::path::Path, database_url: &str) -> Self {
        let arguments = [
            "demo",
            "--incident",
            "--accounts",
            "3",
            "--records",
            "300",
            "--listen",
            "127.0.0.1:0",
        ];
        let mut child = syncline(&arguments)
            .env("DATABASE_URL", database_url)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut output = String::new();
        let reading = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                output.push_str(&line);
                output.push('\n');
                if line.contains("Ctrl-C ends the demo") {
                    return true;
                }
            }
            false
        };
        let is_broken = tokio::time::timeout(PATIENCE, reading).await;
        let mut demo = Self { child, output };
        if is_broken != Ok(true) {
            demo.end().await;
            panic!("nothing was broken:\n{}", demo.output);
        }
        // Whatever else it says is not for us, but somebody has to take it.
        tokio_util::task::TaskTracker::new()
            .spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        demo
    }

    /// The word behind this one, where the demo says what is broken.
    fn word_after(&self, before: &str) -> String {
        let (_, story) = self.output.split_once("three things are broken").unwrap();
        let (_, rest) = story.split_once(before).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    /// Gracefully: killed, it would leave the process behind that it stopped.
    async fn end(&mut self) {
        if let Some(id) = self.child.id() {
            let kill = std::process::Command::new("kill")
                .args(["-TERM", &id.to_string()])
                .status();
            assert!(kill.unwrap().success());
        }
        let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
    }
}

/// Somebody with a browser.
struct Visitor {
    http: reqwest::Client,
    console: String,
    cookie: String,
}

impl Visitor {
    async fn log_in(console: &str, key: &str) -> Self {
        let _is_first = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy();
        let http = client
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let origin = console.trim_end_matches("/console/");
        let answer = http
            .post(format!("{console}login"))
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("key={key}"))
            .send()
            .await
            .unwrap();
        let cookie = answer
            .headers()
            .get("set-cookie")
            .unwrap()
            .to_str()
            .unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self {
            http,
            console: console.to_owned(),
            cookie,
        }
    }

    async fn get(&self, page: &str) -> String {
        let address = format!("{}{page}", self.console);
        let answer = self
            .http
            .get(address)
            .header("cookie", &self.cookie)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{page}: {}", answer.status());
        answer.text().await.unwrap()
    }
}

/// The first link of a page that leads below this address, from the console's own.
fn link(html: &str, below: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("/{below}"))?;
    Some(format!("{below}{}", rest.split('"').next()?))
}

/// The pages that somebody goes through.
struct Night {
    overview: String,
    refused: String,
    refused_account: String,
    dead: String,
    group: String,
    dead_job: String,
    workers: String,
    cut_off_job: String,
}

impl Night {
    async fn walk(visitor: &Visitor) -> Option<Self> {
        let overview = visitor.get("").await;
        let refused = visitor.get("accounts?status=relink_needed").await;
        let refused_account = visitor.get(&link(&refused, "accounts/")?).await;
        let dead = visitor.get("dead").await;
        let group = visitor.get(&link(&dead, "dead/")?).await;
        let dead_job = visitor.get(&link(&group, "jobs/")?).await;
        let workers = visitor.get("workers").await;
        let (_, lost) = workers.split_once("These ran in it")?;
        let cut_off_job = visitor.get(&link(lost, "jobs/")?).await;
        Some(Self {
            overview,
            refused,
            refused_account,
            dead,
            group,
            dead_job,
            workers,
            cut_off_job,
        })
    }
}

#[tokio::test]
async fn each_cause_of_the_incident_is_named_by_the_console() {
    let database = TestDatabase::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &database.url()).await;
    let visitor =
        Visitor::log_in(&demo.word_after("console  "), &demo.word_after("API key ")).await;
    let night = Night::walk(&visitor).await;
    demo.end().await;

    let night = night.unwrap_or_else(|| panic!("a page leads nowhere\n{}", demo.output));
    for (page, told) in [
        (&night.overview, "1 account is to be linked again"),
        (&night.overview, "jobs are dead, of "),
        (&night.overview, "1 worker was lost in the last hour"),
        (&night.refused, "Harbor &#38; Fjord"),
        (&night.refused, "Merge refuses the"),
        (&night.refused_account, "Merge refuses the"),
        (
            &night.refused_account,
            "The customer has to sign in again at their system",
        ),
        (&night.dead, "fetch_model_window"),
        (&night.group, "decode"),
        (&night.dead_job, "12 of 12"),
        (&night.dead_job, "decode"),
        (&night.workers, "is-lost"),
        (&night.cut_off_job, "its worker ended without a word"),
    ] {
        assert!(page.contains(told), "not told: {told}\n{page}");
    }
    let account = link(&night.dead_job, "accounts/");
    assert!(account.is_some(), "{}", night.dead_job);
    // What somebody is told to find is what there is.
    for customer in ["Harbor & Fjord", "Copper Lantern", "Northwind Bakery"] {
        assert!(demo.output.contains(customer), "{}", demo.output);
    }
}
