use std::collections::HashSet;

use chrono::{DateTime, Utc};
use http::Method;
use serde::{Deserialize, Serialize};

use crate::transport::Request;
use crate::{Error, MergeClient, decode};

const PATH: &str = "organizations/integrations";

/// Far more pages than Merge has integrations.
const MAX_PAGES: usize = 100;

/// A third-party product that customers can link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// Its display name, such as `BambooHR`.
    pub name: String,
    /// Such as `bamboohr`; what a link to this one alone asks for.
    pub slug: String,
    /// The categories that it offers, as Merge writes them.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Address of its logo.
    #[serde(default)]
    pub image: Option<String>,
    /// Address of its logo as a square.
    #[serde(default)]
    pub square_image: Option<String>,
    /// Its colour, such as `#73C41D`.
    #[serde(default)]
    pub color: Option<String>,
}

/// Merge's reference says pages, and shows an array.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Page {
        #[serde(default)]
        next: Option<String>,
        results: Vec<Integration>,
    },
    All(Vec<Integration>),
}

impl MergeClient {
    /// The integrations that are enabled for our organisation, `GET /organizations/integrations`, all pages.
    ///
    /// # Errors
    /// [`Error::EndlessPages`] when the cursors go in a circle; the others as everywhere.
    pub async fn integrations(&self) -> Result<Vec<Integration>, Error> {
        let mut integrations = Vec::new();
        let mut seen = HashSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut request = Request::new(self, Method::GET, PATH).query("page_size", "100");
            if let Some(cursor) = &cursor {
                request = request.query("cursor", cursor);
            }
            let answer = request.send().await?;
            let (next, results) = match answer.json()? {
                Answer::Page { next, results } => (next, results),
                Answer::All(results) => (None, results),
            };
            integrations.extend(results);
            match decode::cursor(&answer.endpoint, next)? {
                None => return Ok(integrations),
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                Some(_) => break,
            }
        }
        Err(Error::EndlessPages {
            endpoint: format!("GET {PATH}"),
        })
    }

    /// Asks for something small that needs the API key and nothing else.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when Merge refuses the key; the others as everywhere, and say nothing about the key.
    pub async fn check_key(&self) -> Result<(), Error> {
        self.check_key_and_clock().await.map(drop)
    }

    /// The same; answers what Merge's clock showed, to the second, if it said that.
    ///
    /// # Errors
    /// As [`MergeClient::check_key`].
    pub async fn check_key_and_clock(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let request = Request::new(self, Method::GET, PATH).query("page_size", "1");
        Ok(request.send().await?.date)
    }
}
